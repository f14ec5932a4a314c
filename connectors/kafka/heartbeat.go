package kafka

import (
	"context"
	"errors"
	"io"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
)

// maxHeartbeatVersion is the last one without tagged fields.
const maxHeartbeatVersion = 3

// heartbeatExchange is a heartbeat whose answer is read here: kafka-go reads
// the two fields of the answer in the wrong order and so never sees an error.
type heartbeatExchange struct {
	exchange
	request heartbeat.Request
	code    int16
}

// ApiKey makes the exchange a message of kafka-go's.
func (h *heartbeatExchange) ApiKey() protocol.ApiKey { return protocol.Heartbeat } //nolint:revive // the interface's spelling

// Group routes the exchange to the group's coordinator.
func (h *heartbeatExchange) Group() string { return h.request.GroupID }

// Required makes the transport hand over its connection, and tells the
// versions that were agreed with the broker.
func (h *heartbeatExchange) Required(versions map[protocol.ApiKey]int16) bool {
	h.version = min(versions[protocol.Heartbeat], maxHeartbeatVersion)
	return true
}

// RawExchange writes the request and reads the answer.
func (h *heartbeatExchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	body, err := h.call(rw, &h.request)
	if err != nil {
		return nil, err
	}
	h.code, err = parseHeartbeat(body, h.version)
	return h, err
}

func parseHeartbeat(b []byte, version int16) (int16, error) {
	d := wire{b: b}
	if version >= 1 {
		d.int32() // throttle time: the broker delays by itself
	}
	code := d.int16()
	if d.failed {
		return 0, errors.New("the heartbeat response is malformed")
	}
	return code, nil
}

// heartbeat tells the group's coordinator that a member lives, and asks
// whether its generation still stands.
func (c *Client) heartbeat(ctx context.Context, generation int32, member string) error {
	const doing = "sending a heartbeat"
	h := &heartbeatExchange{
		exchange: c.smallExchange(),
		request:  heartbeat.Request{GroupID: c.cfg.Group, GenerationID: generation, MemberID: member},
	}
	if _, err := c.roundTrip(ctx, 0, h); err != nil {
		return classify(ctx, doing, err)
	}
	if h.code != 0 {
		return classify(ctx, doing, kafkago.Error(h.code))
	}
	return nil
}
