package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	// partitionWatch is how often the group's leader looks for new partitions.
	partitionWatch = 2 * time.Second
	rejoinBackoff  = time.Second
	// closeGrace is how long a request of the group may go on when we leave: a
	// join that waits for other members answers late or never.
	closeGrace = 2 * time.Second
)

// Handler runs one partition for one generation. Its ctx ends with the
// generation, with ErrGenerationEnded as cause, or with Consume's own; it then
// finishes what it has begun and returns. Returning nil earlier makes the whole
// group rebalance; an error stops Consume.
type Handler func(ctx context.Context, a *Assignment) error

// Consume joins the group and runs h for every partition that it is given. It
// returns nil when ctx has ended, or a handler's error. It leaves the group
// only after all handlers have returned, so what they commit still counts;
// until then heartbeats go on.
//
// While the brokers are away it keeps trying to join, and says so once.
func (c *Client) Consume(ctx context.Context, topics []string, h Handler) error {
	m := &membership{c: c, h: h, known: make(map[string]int, len(topics))}
	for _, t := range topics {
		err := c.retry(ctx, "looking up topic "+t, func() (err error) {
			m.known[t], err = c.partitions(ctx, t)
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	conns := &tracked{open: make(map[net.Conn]struct{})}
	dialer := *c.dialer
	dialer.DialFunc = conns.dial
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID:                c.cfg.Group,
		Brokers:           c.cfg.Brokers,
		Dialer:            &dialer,
		Topics:            topics,
		GroupBalancers:    []kafkago.GroupBalancer{countingBalancer{m: m}},
		HeartbeatInterval: c.cfg.HeartbeatInterval,
		SessionTimeout:    c.cfg.SessionTimeout,
		RebalanceTimeout:  c.cfg.RebalanceTimeout,
		JoinGroupBackoff:  rejoinBackoff,
		Timeout:           dialTimeout,
	})
	if err != nil {
		return fmt.Errorf("kafka: joining group %s: %w", c.cfg.Group, err)
	}
	err = m.run(ctx, group)

	// Not the connections that are opened from here on: one says goodbye.
	cut := time.AfterFunc(closeGrace, conns.cutter())
	defer cut.Stop()
	_ = group.Close() // always nil
	return err
}

// membership is one call of Consume.
type membership struct {
	c     *Client
	h     Handler
	known map[string]int // partitions of each topic when Consume began
	away  bool           // the outage has been logged

	mu      sync.Mutex
	counted map[string]int // partitions that our last assignment as leader was made of
}

// run goes from generation to generation. When it returns, the last one has
// no handlers left, but still stands: closing the group ends it, so that no
// rejoin comes in between.
func (m *membership) run(ctx context.Context, group *kafkago.ConsumerGroup) error {
	for {
		gen, err := group.Next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		if err != nil {
			if err := m.joinFailed(ctx, err); err != nil {
				return err
			}
			continue
		}
		if m.away {
			m.away = false
			m.c.log.Info("kafka: in the group again", "group", m.c.cfg.Group)
		}
		done := make(chan error, 1)
		gen.Start(func(over context.Context) {
			err := m.generation(ctx, over, gen)
			done <- err
			if err != nil || ctx.Err() != nil {
				<-over.Done()
			}
		})
		if err := <-done; err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// joinFailed returns err when trying again is of no use.
func (m *membership) joinFailed(ctx context.Context, err error) error {
	err = classify(ctx, "joining group "+m.c.cfg.Group, err)
	if errors.Is(err, ErrGenerationEnded) {
		return nil // the group moved on while we joined
	}
	if errors.Is(err, kafkago.SASLAuthenticationFailed) {
		// On this path kafka-go does not tell a refusal from a connection that
		// closed; a connection of the other kind does.
		fresh := m.c.newTransport(metadataTTL)
		defer fresh.CloseIdleConnections()
		_, asked := (&kafkago.Client{Addr: m.c.addr, Transport: fresh, Timeout: requestTimeout}).Metadata(ctx, &kafkago.MetadataRequest{})
		if asked = classify(ctx, "joining group "+m.c.cfg.Group, asked); asked != nil && !stages.IsTransient(asked) {
			return asked
		}
	} else if !stages.IsTransient(err) && ctx.Err() == nil {
		return err
	}
	if !m.away {
		m.away = true
		m.c.log.Warn("kafka: cannot join the group, trying on", "group", m.c.cfg.Group, "error", err)
	}
	return nil
}

// generation runs a handler for each partition of gen and returns when all of
// them have. over ends when the group moves on.
func (m *membership) generation(ctx, over context.Context, gen *kafkago.Generation) error {
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	unhook := context.AfterFunc(over, func() { stop(ErrGenerationEnded) })
	defer unhook()

	var handlers sync.WaitGroup
	var mu sync.Mutex
	var failure error
	for topic, parts := range gen.Assignments {
		for _, p := range parts {
			a := &Assignment{
				Partition:  schemas.Partition{Topic: topic, ID: int32(p.ID)}, //nolint:gosec // from an int32
				Generation: gen.ID,
				Member:     gen.MemberID,
				c:          m.c,
				later:      p.ID >= m.known[topic],
			}
			handlers.Go(func() {
				err := m.h(work, a)
				mu.Lock()
				if failure == nil && !ended(work, err) {
					failure = err
				}
				mu.Unlock()
				stop(ErrGenerationEnded) // for the other partitions too
			})
		}
	}
	m.c.log.Info("kafka: joined", "group", gen.GroupID, "generation", gen.ID, "assignments", gen.Assignments)

	given := 0
	for _, parts := range gen.Assignments {
		given += len(parts)
	}
	m.c.joined(given)
	defer m.c.joined(-1)

	draining, returned := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		handlers.Wait()
		returned()
	}()
	m.watch(work)
	stop(ErrGenerationEnded)
	m.keepAlive(draining, over, gen)
	return failure
}

// ended reports whether a handler returned because its context did.
func ended(ctx context.Context, err error) bool {
	if errors.Is(err, ErrGenerationEnded) {
		return true
	}
	return ctx.Err() != nil && (stages.IsTransient(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// watch returns when ctx ends, or when a topic has another number of
// partitions than our assignment as leader was made of. kafka-go's own watcher compares
// with what it sees first, and so misses a partition that was added while the
// group joined.
func (m *membership) watch(ctx context.Context) {
	m.mu.Lock()
	counted := m.counted
	m.counted = nil
	m.mu.Unlock()
	for {
		if stages.Sleep(ctx, partitionWatch) != nil {
			return
		}
		for topic, had := range counted {
			if n, err := m.c.partitions(ctx, topic); err == nil && n != had {
				m.c.log.Info("kafka: the number of partitions changed", "topic", topic, "from", had, "to", n)
				return
			}
		}
	}
}

// keepAlive returns with the end of draining, when the handlers have returned,
// and sends heartbeats from the end of a generation until then. kafka-go stops its own at once,
// so a batch would have to be finished within the session timeout; with ours
// it may take the rebalance timeout.
func (m *membership) keepAlive(draining, over context.Context, gen *kafkago.Generation) {
	select {
	case <-draining.Done():
		return
	case <-over.Done():
	}
	for stages.Sleep(draining, m.c.cfg.HeartbeatInterval) == nil {
		// The answer is that a rebalance is in progress; being heard is the point.
		if err := m.c.heartbeat(draining, gen.ID, gen.MemberID); err != nil {
			m.c.log.Debug("kafka: heartbeat while draining", "generation", gen.ID, "error", err)
		}
	}
}

// countingBalancer notes how many partitions an assignment was made of.
type countingBalancer struct {
	kafkago.RangeGroupBalancer
	m *membership
}

// AssignGroups spreads the partitions over the members; only the group's
// leader is asked to.
func (b countingBalancer) AssignGroups(members []kafkago.GroupMember, partitions []kafkago.Partition) kafkago.GroupMemberAssignments {
	counted := make(map[string]int, len(b.m.known))
	for t := range b.m.known {
		counted[t] = 0
	}
	for _, p := range partitions {
		counted[p.Topic]++
	}
	b.m.mu.Lock()
	b.m.counted = counted
	b.m.mu.Unlock()
	return b.RangeGroupBalancer.AssignGroups(members, partitions)
}

// tracked knows the group's connections, to cut them.
type tracked struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (t *tracked) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[conn] = struct{}{}
	return &trackedConn{Conn: conn, t: t}, nil
}

// cutter returns what closes the connections that are open now.
func (t *tracked) cutter() func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := slices.Collect(maps.Keys(t.open))
	return func() {
		for _, conn := range now {
			_ = conn.Close() // who uses it sees the error
		}
	}
}

type trackedConn struct {
	net.Conn
	t *tracked
}

// Close closes the connection and forgets it.
func (c *trackedConn) Close() error {
	c.t.mu.Lock()
	delete(c.t.open, c.Conn)
	c.t.mu.Unlock()
	return c.Conn.Close()
}
