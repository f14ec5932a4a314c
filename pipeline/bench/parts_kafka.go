package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/arena"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/decode"
)

// wideBatch has the pipeline's usual bytes, and more rows than posts without an image fill them with.
var wideBatch = kafka.Limits{MaxRows: 4096, MaxBytes: 4 << 20}

func (b *bench) dial(ctx context.Context) (*kafka.Client, error) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = b.brokers
	return kafka.Dial(ctx, cfg, kafka.Settings{Now: time.Now})
}

// decoding makes Arrow of posts, with images out of base64.
func (b *bench) decoding(ctx context.Context) error {
	client, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	alloc := arena.New() // as in the pipeline
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: alloc})
	if err != nil {
		return err
	}
	for _, s := range []stream{textStream, streamOf(social)} {
		const n = 256
		b.runs++
		topic := fmt.Sprintf("decode-%03d", b.runs)
		if err := b.fill(ctx, topic, s, n); err != nil {
			return err
		}
		fetcher := client.NewFetcher(schemas.Partition{Topic: topic}, alloc, wideBatch)
		defer fetcher.Close()
		var batch *schemas.Batch
		err := stages.Usual.Retry(ctx, slog.New(slog.DiscardHandler), "reading a new topic", func() (err error) {
			batch, err = fetcher.Next(ctx, 0, -1)
			return err
		})
		if err != nil || batch == nil {
			return fmt.Errorf("%s: nothing to decode: %w", topic, err)
		}
		size := len(schemas.Col[*array.Binary](batch.Posts(), schemas.RecordValue).ValueBytes())
		var failed error
		ours := perSecond(func(int) int {
			batch.Posts().Retain()
			again := schemas.NewBatch(batch.Partition, batch.Offsets, batch.Posts())
			defer again.Release()
			if err := stage.Process(ctx, again); err != nil {
				failed = err
			}
			return size
		})
		batch.Release()
		b.deleteTopic(ctx, topic)
		if failed != nil {
			return failed
		}
		w, err := newWriter(s, b.photos)
		if err != nil {
			return err
		}
		args := []string{"json"}
		for i := range 64 {
			file := filepath.Join(b.dir, fmt.Sprintf("post-%s-%d.json", s.Name, i))
			if err := os.WriteFile(file, w.value(i), 0o600); err != nil {
				return err
			}
			args = append(args, file)
		}
		other, err := b.timePython(ctx, args...)
		if err != nil {
			return err
		}
		what := strings.ReplaceAll("posts of "+s.Name, "posts of text", "text posts")
		b.table.add(about{partOfParts, "JSON to Arrow, " + what + " ÷ orjson, pybase64", "GB/s", goal{}, "per core"}, ours/1e9, other/1e9)
	}
	return nil
}

// kafkas fetches and produces as the pipeline does, beside franz-go.
func (b *bench) kafkas(ctx context.Context) error {
	client, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, c := range []struct {
		s stream
		n int
	}{{textStream, 400_000}, {mixStream, 600}} {
		b.runs++
		topic := fmt.Sprintf("fetch-%03d", b.runs)
		if err := b.fill(ctx, topic, c.s, c.n); err != nil {
			return err
		}
		b.say("fetching")
		ours, err := b.fetchOurs(ctx, client, topic, c.n)
		if err != nil {
			return err
		}
		other, err := b.fetchFranz(ctx, topic, c.n)
		if err != nil {
			return err
		}
		what := "fetch, " + strings.ReplaceAll("posts of "+c.s.Name, "posts of text", "text posts") + " ÷ franz-go"
		b.table.add(about{partOfParts, what, "posts/s", goal{}, "ours fetches one partition after the other, and makes Arrow"}, ours.rate, other.rate)
		b.table.add(about{partOfParts, what, "CPU ms/post", goal{}, ""}, ours.cpu, other.cpu)
		b.deleteTopic(ctx, topic)
	}
	return b.transactions(ctx, client)
}

// timed measures something in this process that handles n posts.
func timed(n int, do func() error) (figures, error) {
	began, before := time.Now(), processorTime()
	err := do()
	return figures{
		rate: float64(n) / time.Since(began).Seconds(), posts: n,
		cpu: float64((processorTime() - before).Microseconds()) / 1000 / float64(n),
	}, err
}

func (b *bench) fetchOurs(ctx context.Context, client *kafka.Client, topic string, n int) (figures, error) {
	return timed(n, func() error {
		alloc := arena.New()
		for p := range int32(partitions) {
			f := client.NewFetcher(schemas.Partition{Topic: topic, ID: p}, alloc, wideBatch)
			_, end, err := client.Bounds(ctx, schemas.Partition{Topic: topic, ID: p})
			if err != nil {
				return err
			}
			for from := int64(0); from < end; {
				batch, err := f.Next(ctx, from, -1)
				if err != nil {
					return err
				}
				if batch != nil {
					from = batch.Offsets.End
					batch.Release()
				}
			}
		}
		return nil
	})
}

func (b *bench) fetchFranz(ctx context.Context, topic string, n int) (figures, error) {
	return timed(n, func() error {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxPartitionBytes(10<<20), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		defer client.Close()
		for got := 0; got < n; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return err
			}
			got += fetches.NumRecords()
		}
		return nil
	})
}

// A transaction has as many results as a batch has rows.
const (
	transactionRows  = 64
	transactionBytes = 1200
	transactionTimes = 150
)

func (b *bench) transactions(ctx context.Context, client *kafka.Client) error {
	b.say("transactions")
	b.runs++
	topic := fmt.Sprintf("transactions-%03d", b.runs)
	if err := b.createTopic(ctx, topic); err != nil {
		return err
	}
	value := []byte(strings.Repeat("0123456789ab", transactionBytes/12))
	sender, err := client.OpenSender(ctx, topic+"/ours")
	if err != nil {
		return err
	}
	ours, err := timed(transactionTimes, func() error {
		for n := range transactionTimes {
			records := make([]kafka.Record, transactionRows)
			for i := range records {
				records[i] = kafka.Record{Topic: topic, Partition: kafka.ByKey, Key: []byte(postID(n*transactionRows + i)), Value: value}
			}
			if err := sender.Send(ctx, records); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	franz, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.TransactionalID(topic+"/franz-go"), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer franz.Close()
	other, err := timed(transactionTimes, func() error {
		for n := range transactionTimes {
			if err := franz.BeginTransaction(); err != nil {
				return err
			}
			records := make([]*kgo.Record, transactionRows)
			for i := range records {
				records[i] = &kgo.Record{Key: []byte(postID(n*transactionRows + i)), Value: value}
			}
			if err := franz.ProduceSync(ctx, records...).FirstErr(); err != nil {
				return err
			}
			if err := franz.EndTransaction(ctx, kgo.TryCommit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.table.add(about{partOfParts, "transaction of 64 results ÷ franz-go", "txn/s", goal{}, ""}, ours.rate, other.rate)
	b.table.add(about{partOfParts, "transaction of 64 results ÷ franz-go", "CPU ms/txn", goal{}, ""}, ours.cpu, other.cpu)
	b.deleteTopic(ctx, topic)
	return nil
}
