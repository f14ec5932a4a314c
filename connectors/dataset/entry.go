package dataset

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

// Entry says that the rows of an offset range are in the data set, and where.
// It is created once, as log/<topic>-<partition>/<from>.r<rev>.json, and never
// changes, but that its statistics go when a takedown has rewritten the shard.
type Entry struct {
	Schema    string `json:"schema"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Rev       int    `json:"rev"`
	// Token is the writer's own: it tells its entry from another's.
	Token string `json:"token"`

	// Shard is the path of the shard, empty where the range has no rows.
	Shard  string `json:"shard,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Rows   int64  `json:"rows"`
	Stats  Stats  `json:"statistics"`

	// Dropped counts records of the range that are no rows, by reason.
	Dropped map[string]int64 `json:"dropped,omitempty"`
	// Removed counts rows that takedowns have taken out.
	Removed int64 `json:"removed,omitempty"`
	// Gap are offsets of the range that nobody has seen: Kafka's retention
	// deleted them before they were collected.
	Gap     *Gap      `json:"gap,omitempty"`
	Written time.Time `json:"written"`
}

// Gap is a range of offsets, To being the first beyond it.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

const entrySchema = "shard.v1"

// Input returns the partition whose offsets the entry is about.
func (e Entry) Input() schemas.Partition { return schemas.Partition{Topic: e.Topic, ID: e.Partition} }

func (e Entry) encode() ([]byte, error) {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dataset: encoding %s: %w", e.key(), err)
	}
	return append(text, '\n'), nil
}

func logPrefix(p schemas.Partition) string { return fmt.Sprintf("log/%s-%05d/", p.Topic, p.ID) }

func (e Entry) key() string {
	return fmt.Sprintf("%s%020d.r%d.json", logPrefix(e.Input()), e.From, e.Rev)
}

const (
	dataPrefix = "data/"
	baseName   = "base.json"
)

// shardPath is where an entry's shard lies. The token keeps two writers of
// the same range apart: none overwrites or removes the other's.
func (e Entry) shardPath(day time.Time) string {
	return fmt.Sprintf("%sday=%s/%s-%05d-%020d-%020d.r%d.%s.parquet",
		dataPrefix, day.UTC().Format(time.DateOnly), e.Topic, e.Partition, e.From, e.To, e.Rev, e.Token)
}

var (
	entryName = regexp.MustCompile(`^([0-9]{20})\.r([0-9]{1,9})\.json$`)
	logFolder = regexp.MustCompile(`^log/(.+)-([0-9]{5,10})/$`)
	// What follows .parquet is a writer's that died.
	shardName = regexp.MustCompile(`^(.+)-([0-9]{5,10})-([0-9]{20})-([0-9]{20})\.r([0-9]{1,9})\.[0-9a-f]{8}\.parquet`)
)

// place is what a key tells.
type place struct {
	input schemas.Partition
	from  int64
	rev   int
}

func partitionOf(topic, id string) (schemas.Partition, bool) {
	n, err := strconv.ParseInt(id, 10, 32)
	return schemas.Partition{Topic: topic, ID: int32(n)}, err == nil
}

// entryAt reads an entry's key; false for anything else.
func entryAt(key string) (place, bool) {
	folder, name := path.Split(key)
	in, at := logFolder.FindStringSubmatch(folder), entryName.FindStringSubmatch(name)
	if in == nil || at == nil {
		return place{}, false
	}
	p, ok := partitionOf(in[1], in[2])
	return placed(p, ok, at[1], at[2])
}

// shardAt reads a shard's key, or that of what was to become one.
func shardAt(key string) (place, bool) {
	at := shardName.FindStringSubmatch(path.Base(key))
	if at == nil {
		return place{}, false
	}
	p, ok := partitionOf(at[1], at[2])
	return placed(p, ok, at[3], at[5])
}

func placed(p schemas.Partition, ok bool, from, rev string) (place, bool) {
	offset, err := strconv.ParseInt(from, 10, 64)
	n, bad := strconv.Atoi(rev)
	return place{input: p, from: offset, rev: n}, ok && err == nil && bad == nil
}

// newToken is random: shards of two writers must differ in name whatever else
// they have in common.
func newToken() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// entry reads an entry, once.
func (f *Folder) entry(ctx context.Context, key string) (Entry, error) {
	f.mu.Lock()
	e, ok := f.known[key]
	f.mu.Unlock()
	if ok {
		return e, nil
	}
	text, err := f.store.ReadAll(ctx, key)
	if err != nil {
		return Entry{}, away(ctx, "reading "+key, err)
	}
	if e, err = parseEntry(key, text); err != nil {
		return Entry{}, err
	}
	f.remember(e)
	return e, nil
}

func (f *Folder) remember(e Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[e.key()] = e
}

// parseEntry reads an entry and holds it against its key.
func parseEntry(key string, text []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(text, &e); err != nil {
		return Entry{}, fmt.Errorf("dataset: %s is damaged: %w", key, err)
	}
	switch {
	case e.Schema != entrySchema:
		return Entry{}, fmt.Errorf("dataset: %s has schema %q, not %s: a newer itrstream wrote it", key, e.Schema, entrySchema)
	case e.key() != key:
		return Entry{}, fmt.Errorf("dataset: %s is damaged: it says that it is %s", key, e.key())
	case e.To < e.From, (e.Shard == "") != (e.Rows == 0):
		return Entry{}, fmt.Errorf("dataset: %s is damaged: offsets %d to %d, %d rows, shard %q", key, e.From, e.To, e.Rows, e.Shard)
	}
	if at, ok := shardAt(e.Shard); e.Shard != "" && (!ok || at.input != e.Input() || at.from != e.From) {
		return Entry{}, fmt.Errorf("dataset: %s is damaged: shard %q is not of its offsets", key, e.Shard)
	}
	return e, nil
}
