// Package config turns one YAML file, the environment and flags into the
// configuration of every part.
//
// Adding an option? Put it into the Config of the part that reads it.
// Wondering which value wins? Read Load.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/media"
	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/collect"
	"github.com/itrstream/itrstream/stages/decide"
	"github.com/itrstream/itrstream/stages/decode"
	"github.com/itrstream/itrstream/stages/infer"
	mediastage "github.com/itrstream/itrstream/stages/media"
)

// Config is the whole configuration, one section a part.
type Config struct {
	Kafka    kafka.Config      `mapstructure:"kafka"`
	Topics   Topics            `mapstructure:"topics"`
	Batch    Batch             `mapstructure:"batch"`
	Queue    Queue             `mapstructure:"queue"`
	Decode   decode.Config     `mapstructure:"decode"`
	Media    mediastage.Config `mapstructure:"media"`
	Fetch    media.Config      `mapstructure:"fetch"`
	Model    Model             `mapstructure:"model"`
	Infer    infer.Config      `mapstructure:"infer"`
	Cluster  Cluster           `mapstructure:"cluster"`
	Redis    redis.Config      `mapstructure:"redis"`
	Decide   decide.Config     `mapstructure:"decide"`
	Privacy  Privacy           `mapstructure:"privacy"`
	Collect  Collect           `mapstructure:"collect"`
	Ops      ops.Config        `mapstructure:"ops"`
	Tracing  ops.TracingConfig `mapstructure:"tracing"`
	Log      Log               `mapstructure:"log"`
	Shutdown Shutdown          `mapstructure:"shutdown"`
}

// Topics names the topics, and says what may be done about missing ones.
type Topics struct {
	Posts      []string `mapstructure:"posts"`
	Results    string   `mapstructure:"results"`
	Moderation string   `mapstructure:"moderation"`
	Review     string   `mapstructure:"review"`
	Clusters   string   `mapstructure:"clusters"`
	DeadLetter string   `mapstructure:"deadletter"`
	Collected  string   `mapstructure:"collected"`
	// Create lets missing topics be created at start.
	Create bool `mapstructure:"create"`
	// Partitions, ReplicationFactor and MaxMessageBytes are for topics that
	// are created; 0 partitions or replicas means the broker's default. MaxMessageBytes is for the posts topics.
	Partitions        int `mapstructure:"partitions"`
	ReplicationFactor int `mapstructure:"replication_factor"`
	MaxMessageBytes   int `mapstructure:"max_message_bytes"`
}

// Batch bounds one batch: the unit of folding and committing.
type Batch struct {
	MaxRows  int `mapstructure:"max_rows"`
	MaxBytes int `mapstructure:"max_bytes"`
}

// Queue bounds what is between the brokers and the commit, over all partitions:
// batches, and the bytes of answers to fetches, records and what is decoded of
// them. When it is full the fetch stops.
type Queue struct {
	MaxBatches int   `mapstructure:"max_batches"`
	MaxBytes   int64 `mapstructure:"max_bytes"`
}

// Model says which bundle labels, and on what.
type Model struct {
	Bundle string `mapstructure:"bundle"`
	// Library is the path of ONNX Runtime's shared library; empty: found by
	// itself.
	Library string `mapstructure:"library"`
	Device  string `mapstructure:"device"`
	Threads int    `mapstructure:"threads"`
	// Calibration is the path of a file that itrstream model calibrate made,
	// to use instead of the bundle's own; empty: none.
	Calibration string `mapstructure:"calibration"`
	// CacheBytes holds what the text tower made of the latest texts; 0 keeps
	// none. What images look like is kept by media.
	CacheBytes int64 `mapstructure:"cache_bytes"`
}

// Cluster is the clustering with the name of its state in Redis.
type Cluster struct {
	// Namespace keeps pipelines apart in one Redis; empty: the consumer group.
	Namespace      string    `mapstructure:"namespace"`
	Snapshots      Snapshots `mapstructure:"snapshots"`
	cluster.Config `mapstructure:",squash"`
}

// Validate reports every fault.
func (c Cluster) Validate() error {
	return errors.Join(append(prefixed("snapshots", c.Snapshots.validate()), c.Config.Validate())...)
}

// Snapshots are files with all centroids and cursors, for the day on which
// Redis loses them.
type Snapshots struct {
	// Dir is the folder they are written into; empty: none are written.
	Dir   string        `mapstructure:"dir"`
	Every time.Duration `mapstructure:"every"`
}

func (s Snapshots) validate() error {
	if s.Every < time.Second || s.Every > 24*time.Hour {
		return fmt.Errorf("every: %s: must be between 1s and 24h", s.Every)
	}
	return nil
}

// Log says what is logged, and how.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Shutdown bounds the end.
type Shutdown struct {
	// Timeout is how long batches in flight may take to finish once the
	// process is asked to stop, or a partition is taken away.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Default returns what holds where nothing is set.
func Default() Config {
	return Config{
		Kafka: kafka.DefaultConfig(),
		Topics: Topics{
			Posts:           []string{"posts"},
			Results:         "results",
			Moderation:      "moderation",
			Review:          "review",
			Clusters:        "clusters",
			DeadLetter:      "deadletter",
			Collected:       "collected",
			Create:          true,
			MaxMessageBytes: 16 << 20,
		},
		Batch:    Batch{MaxRows: 64, MaxBytes: 4 << 20},
		Queue:    Queue{MaxBatches: 64, MaxBytes: 64 << 20},
		Decode:   decode.DefaultConfig(),
		Media:    mediastage.DefaultConfig(),
		Fetch:    media.DefaultConfig(),
		Model:    Model{Bundle: "model/bundles/itr-mini", Device: "auto", CacheBytes: 8 << 20},
		Infer:    infer.DefaultConfig(),
		Cluster:  Cluster{Config: cluster.DefaultConfig(), Snapshots: Snapshots{Every: 5 * time.Minute}},
		Redis:    redis.DefaultConfig(),
		Decide:   decide.DefaultConfig(),
		Privacy:  Privacy{Authors: Drop},
		Collect:  defaultCollect(),
		Ops:      ops.DefaultConfig(),
		Tracing:  ops.DefaultTracing(),
		Log:      Log{Level: "info", Format: "text"},
		Shutdown: Shutdown{Timeout: 20 * time.Second},
	}
}

// Validate reports every fault by its full key.
func (c Config) Validate() error {
	var errs []error
	for _, s := range []struct {
		name string
		err  error
	}{
		{"kafka", c.Kafka.Validate()},
		{"topics", c.Topics.validate()},
		{"batch", c.Batch.validate()},
		{"queue", c.Queue.validate()},
		{"decode", c.Decode.Validate()},
		{"media", c.Media.Validate()},
		{"fetch", c.Fetch.Validate()},
		{"model", c.Model.validate()},
		{"infer", c.Infer.Validate()},
		{"cluster", c.Cluster.Validate()},
		{"redis", c.Redis.Validate()},
		{"decide", c.Decide.Validate()},
		{"privacy", c.Privacy.validate()},
		{"collect", c.Collect.Validate()},
		{"ops", c.Ops.Validate()},
		{"tracing", c.Tracing.Validate()},
		{"log", c.Log.validate()},
		{"shutdown", c.Shutdown.validate()},
	} {
		errs = append(errs, prefixed(s.name, s.err)...)
	}
	if c.Shutdown.Timeout >= c.Kafka.RebalanceTimeout {
		errs = append(errs, fmt.Errorf("shutdown.timeout: %s: must be below kafka.rebalance_timeout (%s): the group waits no longer for a partition to be let go",
			c.Shutdown.Timeout, c.Kafka.RebalanceTimeout))
	}
	if c.Collect.On() && c.Collect.HoldBytes < c.Media.MaxBytes {
		errs = append(errs, fmt.Errorf("collect.hold_bytes: %d: must be media.max_bytes (%d) or more, or the largest images would never be collected",
			c.Collect.HoldBytes, c.Media.MaxBytes))
	}
	return errors.Join(errs...)
}

// prefixed puts the section in front of each fault of a joined error.
func prefixed(section string, err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{fmt.Errorf("%s.%w", section, err)}
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, prefixed(section, e)...)
	}
	return errs
}

func (t Topics) validate() error {
	var errs []error
	seen := map[string]string{}
	check := func(key, name string) {
		switch at, twice := seen[name]; {
		case name == "":
			errs = append(errs, fmt.Errorf("%s: %q: must be a topic's name", key, name))
		case len(name) > 249 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || name == "." || name == "..":
			errs = append(errs, fmt.Errorf("%s: %q: must be at most 249 of letters, digits, '.', '_' and '-'", key, name))
		case twice:
			errs = append(errs, fmt.Errorf("%s: %q: must differ from topics.%s", key, name, at))
		}
		seen[name] = key
	}
	if len(t.Posts) == 0 {
		errs = append(errs, errors.New("posts: []: must name at least one topic"))
	}
	for i, p := range t.Posts {
		check(fmt.Sprintf("posts[%d]", i), p)
	}
	check("results", t.Results)
	check("moderation", t.Moderation)
	check("review", t.Review)
	check("clusters", t.Clusters)
	check("deadletter", t.DeadLetter)
	check("collected", t.Collected)
	if t.Partitions < 0 {
		errs = append(errs, fmt.Errorf("partitions: %d: must be 0 (the broker's default) or more", t.Partitions))
	}
	if t.ReplicationFactor < 0 {
		errs = append(errs, fmt.Errorf("replication_factor: %d: must be 0 (the broker's default) or more", t.ReplicationFactor))
	}
	if t.MaxMessageBytes < 1<<10 || t.MaxMessageBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("max_message_bytes: %d: must be between %d and %d", t.MaxMessageBytes, 1<<10, 1<<30))
	}
	return errors.Join(errs...)
}

func (b Batch) validate() error {
	var errs []error
	if b.MaxRows < 1 || b.MaxRows > 65536 {
		errs = append(errs, fmt.Errorf("max_rows: %d: must be between 1 and 65536", b.MaxRows))
	}
	if b.MaxBytes < 1<<10 || b.MaxBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("max_bytes: %d: must be between %d and %d", b.MaxBytes, 1<<10, 1<<30))
	}
	return errors.Join(errs...)
}

func (q Queue) validate() error {
	var errs []error
	if q.MaxBatches < 1 {
		errs = append(errs, fmt.Errorf("max_batches: %d: must be 1 or more", q.MaxBatches))
	}
	if q.MaxBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max_bytes: %d: must be %d or more", q.MaxBytes, 1<<20))
	}
	return errors.Join(errs...)
}

func (m Model) validate() error {
	var errs []error
	if m.Bundle == "" {
		errs = append(errs, errors.New(`bundle: "": must be a bundle's folder`))
	}
	if cuda, ok := strings.CutPrefix(m.Device, "cuda:"); m.Device != "auto" && m.Device != "cpu" && (!ok || cuda == "" || strings.Trim(cuda, "0123456789") != "") {
		errs = append(errs, fmt.Errorf("device: %q: must be auto, cpu or cuda:N", m.Device))
	}
	if m.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: %d: must be 0 (all cores) or more", m.Threads))
	}
	if m.CacheBytes < 0 {
		errs = append(errs, fmt.Errorf("cache_bytes: %d: must be 0 (no cache) or more", m.CacheBytes))
	}
	return errors.Join(errs...)
}

func (l Log) validate() error {
	var errs []error
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, l.Level) {
		errs = append(errs, fmt.Errorf("level: %q: must be one of %s", l.Level, strings.Join(levels, ", ")))
	}
	if formats := []string{"text", "json"}; !slices.Contains(formats, l.Format) {
		errs = append(errs, fmt.Errorf("format: %q: must be one of %s", l.Format, strings.Join(formats, ", ")))
	}
	return errors.Join(errs...)
}

func (s Shutdown) validate() error {
	if s.Timeout < 100*time.Millisecond || s.Timeout > time.Hour {
		return fmt.Errorf("timeout: %s: must be between 100ms and 1h", s.Timeout)
	}
	return nil
}

// Namespace is where the centroids live in Redis.
func (c Config) Namespace() string {
	if c.Cluster.Namespace != "" {
		return c.Cluster.Namespace
	}
	return c.Kafka.Group
}

// Digest identifies what decides about a post: the same post, bundle and
// digest give the same label. calibration is the digest of Model.Calibration's
// file, empty without one. Addresses, credentials, sizes of queues and the like are no
// part of it; of the key that hashes author ids its id is, for rules see the hashes.
// Which pairs are collected is, where any are.
func (c Config) Digest(calibration string) (string, error) {
	key, err := c.Privacy.Key()
	if err != nil {
		return "", err
	}
	var selection *collect.Config
	if c.Collect.On() {
		selection = &c.Collect.Config
	}
	limits := []int64{c.Media.MaxBytes, c.Media.MaxPixels, int64(c.Media.MaxSide)}
	if c.Media.Draft {
		limits = append(limits, 1) // the digest of those who don't know the key stays
	}
	decides, err := json.Marshal(struct {
		Decode      decode.Config
		Media       []int64
		Calibration string
		Cluster     cluster.Config
		Decide      decide.Config
		Privacy     []string
		Collect     *collect.Config
	}{c.Decode, limits, calibration, c.Cluster.Config, c.Decide, []string{c.Privacy.Authors, c.Privacy.addresses(), key.ID()}, selection})
	if err != nil {
		return "", fmt.Errorf("config: digest: %w", err)
	}
	sum := sha256.Sum256(decides)
	return hex.EncodeToString(sum[:]), nil
}
