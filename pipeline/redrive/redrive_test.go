package redrive_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/redrive"
	"github.com/itrstream/itrstream/schemas"
)

// Everything comes back byte for byte to where it was, once, and links to its
// dead letter.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	letters, want := many(700)
	w.write(letters...)
	plan, err := w.open(redrive.Options{}, redrive.Settings{}).Plan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 700, plan.Count(redrive.Send))
	require.Len(t, plan.Groups, 2)
	require.Empty(t, w.read("posts"), "a plan sends nothing")

	require.Equal(t, 700, w.execute(redrive.Options{}))
	back := w.read("posts")
	require.Equal(t, want, prints(t, back))
	of := map[string]bool{}
	for _, r := range back {
		require.Equal(t, "1", header(r, schemas.HeaderRedriveAttempt))
		of[header(r, schemas.HeaderRedriveOf)] = true
	}
	require.Len(t, of, 700, "each names another dead letter")
	require.True(t, of["deadletter/1/0"])

	require.Zero(t, w.execute(redrive.Options{}))
	require.Len(t, w.read("posts"), 700)
	plan, err = w.open(redrive.Options{}, redrive.Settings{}).Plan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 700, plan.Count(redrive.Redriven))
	require.Zero(t, plan.Foreign, "marks are ours")
}

// What a filter leaves out stays for another redrive.
func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	for i, reason := range []string{"malformed", "media_failed", "too_large", "malformed"} {
		stage := "decode"
		if reason == "media_failed" {
			stage = "media"
		}
		w.write(dead{reason: reason, stage: stage, source: "posts", offset: int64(i), value: []byte{byte(i)}, at: start.Add(time.Duration(i) * time.Hour)})
	}
	values := func() (all []byte) {
		for _, r := range w.read("posts") {
			all = append(all, r.Value...)
		}
		return all
	}
	filter := func(f redrive.Filter) redrive.Options { return redrive.Options{Filter: f} }
	none := filter(redrive.Filter{Reasons: []string{"not_a_post"}})
	plan, err := w.open(none, redrive.Settings{}).Plan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, plan.LeftOut)
	require.Equal(t, 1, w.execute(filter(redrive.Filter{Stages: []string{"media"}})))
	require.Equal(t, []byte{1}, values())
	require.Equal(t, 1, w.execute(filter(redrive.Filter{Reasons: []string{"malformed", "too_large"}, Since: start.Add(time.Hour), Until: start.Add(3 * time.Hour)})))
	require.Equal(t, []byte{1, 2}, values())
	require.Equal(t, 1, w.execute(filter(redrive.Filter{Since: start.Add(3 * time.Hour)})), "since itself is in")
	require.Equal(t, 1, w.execute(filter(redrive.Filter{})))
	require.Equal(t, []byte{1, 2, 3, 0}, values())
}

// What may not or cannot go back is counted and left.
func TestFates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	attempt := func(n string) []kgo.RecordHeader {
		return []kgo.RecordHeader{
			{Key: "own", Value: []byte("x")},
			{Key: schemas.HeaderRedriveAttempt, Value: []byte(n)},
			{Key: schemas.HeaderRedriveOf, Value: []byte("deadletter/0/7")},
		}
	}
	base := dead{reason: "malformed", stage: "decode", source: "posts", value: []byte("v")}
	with := func(change func(*dead)) dead {
		d := base
		d.offset = 1
		change(&d)
		return d
	}
	w.write(
		with(func(d *dead) { d.offset, d.cut = 10, true }),
		with(func(d *dead) {
			d.offset, d.headers = 11, []kgo.RecordHeader{{Key: kafka.HeaderCut, Value: []byte("99")}}
		}),
		with(func(d *dead) {
			d.offset, d.headers = 12, []kgo.RecordHeader{{Key: kafka.HeaderUnreadable, Value: []byte("why")}}
		}),
		with(func(d *dead) { d.source = "others" }),
		with(func(d *dead) { d.source = "deadletter" }),
		with(func(d *dead) { d.offset, d.headers = 20, attempt("2") }),
		with(func(d *dead) { d.offset, d.headers = 21, attempt("3") }),
		with(func(d *dead) { d.offset, d.headers = 22, attempt("2000000000") }),
		with(func(d *dead) { d.offset, d.headers = 23, attempt("-5") }),
		with(func(d *dead) { d.offset, d.in = 30, 0 }),
		with(func(d *dead) { d.offset, d.in = 30, 1 }),        // the same again, as at-least-once may
		with(func(d *dead) { d.offset, d.partition = 40, 9 }), // the topic had more partitions
	)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: "deadletter", Value: []byte("stranger")}, &kgo.Record{
		Topic: "deadletter", Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: schemas.HeaderRedriven, Value: []byte("no mark")}},
	}).FirstErr())
	plan, err := w.open(redrive.Options{}, redrive.Settings{}).Plan(t.Context())
	require.NoError(t, err)
	counts := map[string]int{}
	for _, f := range redrive.Fates() {
		counts[f.String()] = plan.Count(f)
	}
	require.Equal(t, map[string]int{
		"to_send": 4, "cut": 3, "elsewhere": 2, "redriven": 0, "repeated": 1, "at_limit": 2, "refused": 0,
	}, counts)
	require.Equal(t, 2, plan.Foreign)

	require.Equal(t, 4, w.execute(redrive.Options{}))
	got := map[string]string{}
	for _, r := range w.read("posts") {
		got[header(r, schemas.HeaderRedriveOf)] = header(r, schemas.HeaderRedriveAttempt)
		require.LessOrEqual(t, len(r.Headers), 5, "the headers of a former redrive are replaced")
	}
	require.Equal(t, map[string]string{"deadletter/0/5": "3", "deadletter/0/8": "1", "deadletter/0/9": "1", "deadletter/0/10": "1"}, got)
	require.Equal(t, 1, w.execute(redrive.Options{MaxAttempts: 4}), "a higher limit lets one more go")
	require.Zero(t, w.execute(redrive.Options{MaxAttempts: 4}))
	require.Equal(t, 1, w.execute(redrive.Options{}, "topics.posts=posts,others"), "what was elsewhere is not")
}

// However a redrive ends, the next one goes on, and nothing comes twice.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(t *testing.T, w *world) error{
		"Ctrl-C": func(t *testing.T, w *world) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := w.open(redrive.Options{}, redrive.Settings{Progress: func(sent, _ int) {
				if sent >= 400 {
					cancel()
				}
			}})
			_, sent, err := r.Execute(ctx)
			require.Equal(t, 400, sent)
			require.ErrorIs(t, err, context.Canceled)
			return nil
		},
		"the answer to a commit is lost": func(t *testing.T, w *world) error {
			w.broker.drop(kmsg.EndTxn, 2, false)
			_, sent, err := w.open(redrive.Options{}, redrive.Settings{}).Execute(t.Context())
			require.Equal(t, 700, sent, "it looks for itself what has become of them")
			return err
		},
		"a commit is lost": func(t *testing.T, w *world) error {
			w.broker.drop(kmsg.EndTxn, 2, true)
			_, sent, err := w.open(redrive.Options{}, redrive.Settings{}).Execute(t.Context())
			require.Equal(t, 700, sent)
			return err
		},
		"the answer to a batch is lost": func(t *testing.T, w *world) error {
			w.broker.drop(kmsg.Produce, 3, false)
			_, sent, err := w.open(redrive.Options{}, redrive.Settings{}).Execute(t.Context())
			require.Equal(t, 700, sent)
			return err
		},
		"two at once": func(t *testing.T, w *world) error {
			var all sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				r := w.open(redrive.Options{}, redrive.Settings{})
				all.Go(func() { _, _, errs[i] = r.Execute(t.Context()) })
			}
			all.Wait()
			for _, err := range errs {
				if err != nil {
					require.ErrorContains(t, err, "another redrive of group itrstream has begun")
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			letters, want := many(700)
			w.write(letters...)
			require.NoError(t, interrupt(t, w))
			w.execute(redrive.Options{})
			require.Equal(t, want, prints(t, w.read("posts")))
			require.Zero(t, w.execute(redrive.Options{}))
		})
	}
}

// A record that its topic takes no more is left, and named; the others go.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := kadm.NewClient(w.client)
	for i := range 5 {
		d := dead{reason: "malformed", stage: "decode", source: "posts", offset: int64(i), value: []byte{byte(i)}}
		if i == 2 {
			d.value = []byte(strings.Repeat("x", 200_000))
		}
		w.write(d)
	}
	small := "100000"
	_, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, "posts")
	require.NoError(t, err)
	require.Equal(t, 4, w.execute(redrive.Options{}, "kafka.compression=none"))
	require.Len(t, w.read("posts"), 4)
	large := "300000"
	_, err = admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &large}}, "posts")
	require.NoError(t, err)
	require.Equal(t, 1, w.execute(redrive.Options{}, "kafka.compression=none"))
	require.Len(t, w.read("posts"), 5)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := redrive.Open(t.Context(), w.config("topics.deadletter=none"), redrive.Options{MaxAttempts: 1}, redrive.Settings{})
	require.ErrorContains(t, err, "missing topics: none")
	now := time.Now()
	_, err = redrive.Open(t.Context(), w.config(), redrive.Options{Filter: redrive.Filter{Since: now, Until: now}}, redrive.Settings{})
	require.ErrorContains(t, err, "--max-attempts: 0")
	require.ErrorContains(t, err, "--until")
	cfg := w.config()
	cfg.Kafka.Brokers = nil
	_, err = redrive.Open(t.Context(), cfg, redrive.Options{MaxAttempts: 1}, redrive.Settings{})
	require.ErrorContains(t, err, "kafka.brokers is empty")
}
