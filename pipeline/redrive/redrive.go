package redrive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// headersRoom is what a dead letter has beyond the record it was made of.
const headersRoom = 128 << 10

// Options choose what is sent back.
type Options struct {
	Filter
	// MaxAttempts is how often a record is sent back at most.
	MaxAttempts int
}

// Validate reports every fault by its flag.
func (o Options) Validate() error {
	var errs []error
	if o.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("--max-attempts: %d: must be 1 or more", o.MaxAttempts))
	}
	if !o.Since.IsZero() && !o.Until.IsZero() && !o.Since.Before(o.Until) {
		errs = append(errs, fmt.Errorf("--until: %s: must be after --since (%s)", o.Until.Format(time.RFC3339), o.Since.Format(time.RFC3339)))
	}
	return errors.Join(errs...)
}

// Settings are what the caller fills in.
type Settings struct {
	Log *slog.Logger
	Now func() time.Time
	// Planned is told what will be done, before anything is; nil: nobody is.
	Planned func(*Plan) error
	// Progress is told how many of how many were sent, after each
	// transaction; nil: nobody is.
	Progress func(sent, all int)
}

// Redrive is one look at the dead letters of a configuration.
type Redrive struct {
	cfg     config.Config
	opts    Options
	set     Settings
	client  *kafka.Client
	topic   string
	letters int            // partitions of the dead-letter topic
	sources map[string]int // partitions of the posts topics
}

// Open reaches Kafka and the topics, all of which must exist.
func Open(ctx context.Context, cfg config.Config, o Options, set Settings) (*Redrive, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Kafka.Brokers) == 0 {
		return nil, errors.New("kafka.brokers is empty: name the brokers with the dead letters, as in --set kafka.brokers=127.0.0.1:9092")
	}
	// A dead letter is longer than the record that it was made of.
	cfg.Kafka.RecordMaxBytes = min(cfg.Kafka.RecordMaxBytes+headersRoom, 1<<30)
	client, err := kafka.Dial(ctx, cfg.Kafka, kafka.Settings{Log: set.Log, Now: set.Now})
	if err != nil {
		return nil, err
	}
	r := &Redrive{cfg: cfg, opts: o, set: set, client: client, topic: cfg.Topics.DeadLetter, sources: map[string]int{}}
	specs := []kafka.TopicSpec{{Name: r.topic}}
	for _, t := range cfg.Topics.Posts {
		specs = append(specs, kafka.TopicSpec{Name: t})
	}
	states, err := client.EnsureTopics(ctx, specs, false)
	if err != nil {
		client.Close()
		return nil, err
	}
	r.letters = states[0].Partitions
	for _, s := range states[1:] {
		r.sources[s.Name] = s.Partitions
	}
	return r, nil
}

// Close ends the connections.
func (r *Redrive) Close() { r.client.Close() }

// Plan reads the dead letters there are and says what Execute would do. It
// changes nothing.
func (r *Redrive) Plan(ctx context.Context) (*Plan, error) {
	p, err := r.read(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	return p.finish(), nil
}

// read reads all of the dead-letter topic. Letters at or beyond ends, which an
// earlier reading found, are not looked at, but marks are.
func (r *Redrive) read(ctx context.Context, ends map[int32]int64, refused map[mark]bool) (*planner, error) {
	p := newPlanner(r.opts, r.cfg.Topics.Posts, refused)
	for id := range int32(r.letters) { //nolint:gosec // Kafka counts partitions in an int32
		at := schemas.Partition{Topic: r.topic, ID: id}
		var from, end int64
		err := stages.Usual.Retry(ctx, r.set.Log, "asking for the bounds of "+at.String(), func() (err error) {
			from, end, err = r.client.Bounds(ctx, at)
			return err
		})
		if err != nil {
			return nil, err
		}
		p.ends[id] = end
		if ends != nil {
			p.ends[id] = ends[id]
		}
		err = scan(ctx, r.client, r.set.Log, at, from, end, func(rec record) error {
			p.add(rec)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}
