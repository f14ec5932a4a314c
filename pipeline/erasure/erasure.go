package erasure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/collector/card"
	"github.com/itrstream/itrstream/pipeline/collector/takedown"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	// within is how long an execution goes on looking at most.
	within = time.Minute
	// again is when the data set is looked at a second time: a collector that
	// had not heard of the takedown has written by then what it was writing.
	again = 15 * time.Second
	every = 3 * time.Second
	// together is how many records go in one transaction.
	together = 500
)

// Erasure is one takedown.
type Erasure struct {
	cfg    config.Config
	set    pipeline.Settings
	target target

	client    *kafka.Client
	topics    []string // of posts
	collected int      // partitions of the collected topic; 0: there is none
	centroids *pipeline.Centroids
	folder    *dataset.Folder
	store     *bucket.Bucket
	images    *images.Store

	id    string          // transactional, of this takedown alone: many may go on at the same time
	asked map[string]bool // posts whose delete was sent
}

// Open reaches Kafka, Redis and the data set, as far as the configuration
// names them.
func Open(ctx context.Context, cfg config.Config, o Options, set pipeline.Settings) (_ *Erasure, err error) {
	if set.Log == nil {
		set.Log = slog.New(slog.DiscardHandler)
	}
	e := &Erasure{cfg: cfg, set: set, id: cfg.Kafka.Group + "/takedown/" + rand.Text(), asked: make(map[string]bool)}
	if e.target, err = newTarget(o, cfg.Privacy); err != nil {
		return nil, err
	}
	if len(cfg.Kafka.Brokers) == 0 {
		return nil, errors.New("kafka.brokers is empty: name the brokers, as in --set kafka.brokers=127.0.0.1:9092")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.client, err = kafka.Dial(ctx, cfg.Kafka, kafka.Settings{Log: set.Log, Now: set.Now}); err != nil {
		return nil, err
	}
	specs := []kafka.TopicSpec{}
	for _, t := range cfg.Topics.Posts {
		specs = append(specs, kafka.TopicSpec{Name: t})
	}
	if cfg.Collect.On() {
		specs = append(specs, kafka.TopicSpec{Name: cfg.Topics.Collected})
	}
	states, err := e.client.EnsureTopics(ctx, specs, false)
	if err != nil {
		return nil, err
	}
	e.topics = cfg.Topics.Posts
	if cfg.Collect.On() {
		e.collected = states[len(states)-1].Partitions
	}
	if cfg.Redis.Addr != "" {
		if e.centroids, err = pipeline.OpenCentroids(ctx, cfg, set); err != nil {
			return nil, err
		}
	}
	if cfg.Collect.Dataset != "" {
		if e.folder, err = dataset.Open(ctx, cfg.Collect.Dataset); err != nil {
			return nil, err
		}
	}
	if cfg.Collect.Images != "" {
		if e.store, err = bucket.Open(ctx, cfg.Collect.Images); err != nil {
			return nil, err
		}
		e.images = images.New(e.store, set.Now)
	}
	return e, nil
}

// Close ends the connections.
func (e *Erasure) Close() error {
	var errs []error
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.folder != nil {
		errs = append(errs, e.folder.Close())
	}
	if e.centroids != nil {
		errs = append(errs, e.centroids.Close())
	}
	if e.client != nil {
		e.client.Close()
	}
	return errors.Join(errs...)
}

// Plan says what Execute would take out by now. It changes nothing.
func (e *Erasure) Plan(ctx context.Context) (*Receipt, error) {
	r := e.receipt()
	named, err := e.named(ctx)
	if err != nil {
		return nil, err
	}
	r.Named = named
	if err := e.find(ctx, r); err != nil {
		return nil, err
	}
	r.Remains, err = e.remains(ctx)
	return r, err
}

// find looks for rows in the data set.
func (e *Erasure) find(ctx context.Context, r *Receipt) error {
	if e.folder == nil {
		return nil
	}
	entries, err := e.folder.Entries(ctx)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Shard == "" {
			continue
		}
		err := e.shard(ctx, entry.Shard, r)
		if err != nil && !dataset.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func (e *Erasure) shard(ctx context.Context, path string, r *Receipt) error {
	shard, err := e.folder.Shard(ctx, path, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	defer shard.Close() //nolint:errcheck // it has nothing to close
	before := len(r.Rows)
	for row, err := range shard.Rows(ctx, dataset.ColPostID, dataset.ColAuthor, dataset.ColImageDigest, dataset.ColResultID, dataset.ColPair) {
		if err != nil {
			return err
		}
		if e.target.covers(&row) {
			r.row(&row)
		}
	}
	if len(r.Rows) > before {
		r.Shards = append(r.Shards, path)
	}
	return nil
}

// named returns the posts to be taken down that the centroids name.
func (e *Erasure) named(ctx context.Context) ([]string, error) {
	if e.centroids == nil {
		return nil, nil
	}
	all, err := e.centroids.Named(ctx)
	if err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(all, func(post string) bool { return !e.target.owns(post) && !e.asked[post] })
	slices.Sort(named)
	return slices.Compact(named), nil
}

// Execute takes down. It asks the label pipeline and the collectors to forget,
// changes the data set itself, and looks until nothing is found any more, a
// minute at most. What it has done is in the receipt beside an error, too.
func (e *Erasure) Execute(ctx context.Context) (*Receipt, error) {
	plan, err := e.Plan(ctx)
	if err != nil {
		return nil, err
	}
	r := e.receipt()
	r.Executed, r.Remains = true, plan.Remains
	began := e.set.Now()
	defer func() { r.Took = e.set.Now().Sub(began).Seconds() }()
	if err := e.ask(ctx, r, append(plan.posts(), plan.Named...), true); err != nil {
		return r, err
	}
	reaper, err := e.reaper(ctx)
	if err != nil {
		return r, err
	}
	for {
		quiet, err := e.look(ctx, reaper, r)
		if err != nil && !stages.IsTransient(err) {
			return r, err
		}
		spent := e.set.Now().Sub(began)
		switch {
		case err == nil && quiet && spent >= again:
			return r, nil
		case spent >= within && err != nil:
			return r, err
		case spent >= within:
			return r, e.unfinished(r)
		}
		if err := stages.Sleep(ctx, every); err != nil {
			return r, err
		}
	}
}

func (e *Erasure) unfinished(r *Receipt) error {
	if len(r.Named) > 0 {
		return fmt.Errorf("after %s the centroids still name %d of the posts: they forget them when itrstream run reads the deletes, so see that it runs, and call the same command again", within, len(r.Named))
	}
	return fmt.Errorf("after %s %d images still wait: call the same command again", within, len(r.Waiting))
}

func (e *Erasure) reaper(ctx context.Context) (*takedown.Reaper, error) {
	if e.folder == nil {
		return nil, nil //nolint:nilnil // there is no data set
	}
	reaper, err := takedown.Open(ctx, takedown.Settings{
		Folder: e.folder, Images: e.images, Alloc: e.set.Alloc, Now: e.set.Now, Log: e.set.Log,
		Changed: func(ctx context.Context) error {
			m, err := e.folder.WriteManifest(ctx)
			if err != nil {
				return err
			}
			text, err := card.Make(m, e.cfg.Collect.Card)
			if err != nil {
				return err
			}
			return e.folder.WriteCard(ctx, text)
		},
	})
	if err != nil {
		return nil, err
	}
	for _, t := range e.target.takedowns() {
		reaper.Take(t)
	}
	return reaper, nil
}

// look takes out what there is by now, and reports whether nothing is left to
// wait for.
func (e *Erasure) look(ctx context.Context, reaper *takedown.Reaper, r *Receipt) (quiet bool, err error) {
	var found takedown.Report
	if reaper != nil {
		found, err = reaper.Look(ctx)
		r.add(found) // what went before an error, too
		if err != nil {
			return false, err
		}
	}
	var posts []string
	for i := range found.Rows {
		if e.target.covers(&found.Rows[i]) {
			posts = append(posts, found.Rows[i].Collected.PostID)
		}
	}
	if r.Named, err = e.named(ctx); err != nil {
		return false, err
	}
	if err := e.ask(ctx, r, append(posts, r.Named...), false); err != nil {
		return false, err
	}
	return len(found.Rows)+len(r.Waiting)+len(r.Named) == 0, nil
}

// ask sends a delete of each post that none was sent of, and first the
// takedown itself.
func (e *Erasure) ask(ctx context.Context, r *Receipt, posts []string, first bool) error {
	ask := append(slices.Clone(e.target.posts), posts...)
	slices.Sort(ask)
	ask = slices.DeleteFunc(slices.Compact(ask), func(post string) bool { return e.asked[post] })
	var records []kafka.Record
	for _, post := range ask {
		value, err := schemas.Encode(schemas.Post{Schema: schemas.PostSchema, PostID: post, Op: schemas.OpDelete})
		if err != nil {
			return err
		}
		for _, topic := range e.topics {
			records = append(records, kafka.Record{Topic: topic, Partition: kafka.ByKey, Key: []byte(post), Value: value})
		}
	}
	if first && e.collected > 0 {
		more, err := e.takedowns(r.RequestedAt)
		if err != nil {
			return err
		}
		records = append(records, more...)
	}
	if err := e.send(ctx, records); err != nil {
		return err
	}
	for _, post := range ask {
		e.asked[post] = true
	}
	r.Deletes = append(r.Deletes, ask...)
	return nil
}

// takedowns are the records for the collectors: one for a post, for its rows
// are in one partition, and one for each partition for an author.
func (e *Erasure) takedowns(at time.Time) (all []kafka.Record, err error) {
	for _, t := range e.target.takedowns() {
		t.RequestedAt = at
		r := kafka.Record{Topic: e.cfg.Topics.Collected, Partition: kafka.ByKey, Key: []byte(t.PostID + t.AuthorID)}
		if r.Value, err = schemas.Encode(t); err != nil {
			return nil, err
		}
		if t.PostID != "" {
			all = append(all, r)
			continue
		}
		for r.Partition = range int32(e.collected) { //nolint:gosec // Kafka counts partitions in an int32
			all = append(all, r)
		}
	}
	return all, nil
}

// send sends records, some perhaps twice: that does no harm.
func (e *Erasure) send(ctx context.Context, records []kafka.Record) error {
	for some := range slices.Chunk(records, together) {
		err := stages.Usual.Retry(ctx, e.set.Log, "sending deletes", func() error {
			sender, err := e.client.OpenSender(ctx, e.id)
			if err == nil {
				err = sender.Send(ctx, some)
			}
			if errors.Is(err, kafka.ErrFenced) || errors.Is(err, kafka.ErrAborted) {
				err = &stages.Transient{Err: err}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
