package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

// Store keeps one namespace and one model bundle, as cluster.CentroidStore
// asks. Its keys begin with {<namespace>:<digest>}, which makes them one hash
// slot:
//
//	meta    hash: incarnation, version, pairs, totals (ledger, sample), gap <topic>/<p>
//	pos     hash: <topic>/<p> → token, cursor, base
//	last    hash: <topic>/<p> → version and record of the last fold
//	rows    hash: public cluster id → tag and centroid
//	sample  hash: slot → member, until the first centroids
//	lease   string with a life time: who makes the first centroids
type Store struct {
	client *Client
	keys   []string
}

var _ cluster.CentroidStore = (*Store)(nil)

// Indexes into Store.keys.
const (
	meta = iota
	pos
	last
	rows
	sample
	lease
)

// Store returns the store of a namespace and a model bundle.
func (c *Client) Store(namespace, bundleDigest string) *Store {
	s := &Store{client: c}
	// A brace would end the hash tag early.
	tag := strings.NewReplacer("{", "(", "}", ")").Replace(namespace + ":" + bundleDigest)
	for _, name := range []string{"meta", "pos", "last", "rows", "sample", "lease"} {
		s.keys = append(s.keys, "{"+tag+"}:"+name)
	}
	return s
}

func (s *Store) run(ctx context.Context, what string, script *goredis.Script, args ...any) (any, error) {
	reply, err := script.Run(ctx, s.client.rdb, s.keys, args...).Result()
	if err != nil {
		return nil, s.client.classify(what, err)
	}
	return reply, nil
}

// Claim implements cluster.CentroidStore.
func (s *Store) Claim(ctx context.Context, r cluster.ClaimRequest) (cluster.ClaimReply, error) {
	raw, err := s.run(ctx, "claim", claimScript, r.Partition.String(), r.Incarnation, r.Base, r.Fallback, r.Floor)
	if err != nil {
		return cluster.ClaimReply{}, err
	}
	f := fields{raw: raw}
	reply := cluster.ClaimReply{
		Incarnation: string(f.bytes()), Token: f.int64(), Cursor: f.int64(), Base: f.int64(),
		Gap: schemas.OffsetRange{First: f.int64(), End: f.int64()}, Last: f.recorded(),
	}
	return reply, f.check("claim")
}

// Cursor implements cluster.CentroidStore.
func (s *Store) Cursor(ctx context.Context, p schemas.Partition) (incarnation string, cursor int64, ok bool, err error) {
	var inc, at *goredis.StringCmd
	_, err = s.client.rdb.TxPipelined(ctx, func(tx goredis.Pipeliner) error {
		inc = tx.HGet(ctx, s.keys[meta], "incarnation")
		at = tx.HGet(ctx, s.keys[pos], p.String())
		return nil
	})
	for _, err := range []error{err, inc.Err(), at.Err()} {
		if err != nil && !errors.Is(err, goredis.Nil) {
			return "", 0, false, s.client.classify("read a cursor", err)
		}
	}
	if at.Val() == "" {
		return inc.Val(), 0, false, nil
	}
	if parts := strings.Fields(at.Val()); len(parts) == 3 {
		if cursor, err = strconv.ParseInt(parts[1], 10, 64); err == nil {
			return inc.Val(), cursor, true, nil
		}
	}
	return "", 0, false, fmt.Errorf("redis: %s holds %q for %s: not a position", s.keys[pos], at.Val(), p)
}

// Load implements cluster.CentroidStore. A transaction, not a script: Lua
// would copy every row twice.
func (s *Store) Load(ctx context.Context) (cluster.State, error) {
	var m *goredis.SliceCmd
	var r *goredis.MapStringStringCmd
	_, err := s.client.rdb.TxPipelined(ctx, func(tx goredis.Pipeliner) error {
		m = tx.HMGet(ctx, s.keys[meta], "incarnation", "version", "pairs", cluster.LedgerID, cluster.SampleID)
		r = tx.HGetAll(ctx, s.keys[rows])
		return nil
	})
	if err != nil {
		return cluster.State{}, s.client.classify("read the centroids", err)
	}
	f := fields{raw: m.Val()}
	st := cluster.State{
		Incarnation: string(f.bytes()), Version: f.count(), Pairs: f.count(),
		Ledger: f.bytes(), Sample: f.bytes(), Rows: make(map[string][]byte, len(r.Val())),
	}
	for id, v := range r.Val() {
		st.Rows[id] = []byte(v)
	}
	return st, f.check("read the centroids")
}

// Fold implements cluster.CentroidStore.
func (s *Store) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	args := make([]any, 0, 10+4*len(r.Writes)+2*len(r.Slots))
	args = append(args, r.Incarnation, r.Partition.String(), r.Token, r.Range.First, r.Range.End, r.Pairs, r.Record,
		flag(r.Sampling), cluster.TagSize, len(r.Writes))
	for _, w := range r.Writes {
		args = append(args, kinds[w.Kind], w.ID, orEmpty(w.Expect), orEmpty(w.Value))
	}
	for _, slot := range r.Slots {
		args = append(args, slot.Index, slot.Value)
	}
	raw, err := s.run(ctx, "fold", foldScript, args...)
	if err != nil {
		return cluster.FoldReply{}, err
	}
	f := fields{raw: raw}
	reply := cluster.FoldReply{Status: cluster.FoldStatus(f.bytes())}
	switch reply.Status {
	case cluster.FoldOK:
		reply.Version, reply.Pairs, reply.Ledger = f.int64(), f.int64(), f.value()
	case cluster.FoldDup, cluster.FoldCut:
		reply.Cursor, reply.Last = f.int64(), f.recorded()
	case cluster.FoldBehind:
		reply.Cursor = f.int64()
	case cluster.FoldConflict:
		for f.more() {
			kind := cluster.KindCentroid
			if string(f.bytes()) == kinds[cluster.KindTotals] {
				kind = cluster.KindTotals
			}
			reply.Conflicts = append(reply.Conflicts, cluster.Current{Kind: kind, ID: string(f.bytes()), Value: f.value()})
		}
	case cluster.FoldNoModel, cluster.FoldFenced, cluster.FoldWait:
	}
	return reply, f.check("fold")
}

// Rows implements cluster.CentroidStore.
func (s *Store) Rows(ctx context.Context, ids []string) ([][]byte, error) {
	return s.values(ctx, "read centroids", rows, ids)
}

// Slots implements cluster.CentroidStore.
func (s *Store) Slots(ctx context.Context, slots []int) ([][]byte, error) {
	names := make([]string, len(slots))
	for i, n := range slots {
		names[i] = strconv.Itoa(n)
	}
	return s.values(ctx, "read the sample", sample, names)
}

// values reads fields of a hash.
func (s *Store) values(ctx context.Context, what string, key int, names []string) ([][]byte, error) {
	if len(names) == 0 {
		return nil, nil
	}
	raw, err := s.client.rdb.HMGet(ctx, s.keys[key], names...).Result()
	if err != nil {
		return nil, s.client.classify(what, err)
	}
	f := fields{raw: raw}
	values := make([][]byte, 0, len(names))
	for range names {
		values = append(values, f.bytes())
	}
	return values, f.check(what)
}

// Lease implements cluster.CentroidStore.
func (s *Store) Lease(ctx context.Context, holder string, ttl time.Duration, freeze bool) (bool, error) {
	raw, err := s.run(ctx, "take the lease", leaseScript, holder, ttl.Milliseconds(), flag(freeze))
	return raw == int64(1), err
}

// Release implements cluster.CentroidStore.
func (s *Store) Release(ctx context.Context, holder string) error {
	_, err := s.run(ctx, "release the lease", releaseScript, holder)
	return err
}

// Init implements cluster.CentroidStore.
func (s *Store) Init(ctx context.Context, r cluster.InitRequest) (cluster.InitReply, error) {
	args := make([]any, 0, 5+2*len(r.Rows))
	args = append(args, r.Incarnation, r.Expect, cluster.TagSize, r.Sample, r.Ledger)
	for id, v := range r.Rows {
		args = append(args, id, v)
	}
	raw, err := s.run(ctx, "install centroids", initScript, args...)
	if err != nil {
		return cluster.InitReply{}, err
	}
	status, _ := raw.(string)
	return cluster.InitReply{Status: cluster.FoldStatus(status)}, nil
}

var kinds = map[cluster.Kind]string{cluster.KindCentroid: "c", cluster.KindTotals: "t"}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// fields reads a reply of strings one after the other.
type fields struct {
	raw any
	at  int
	bad bool
}

func (f *fields) more() bool {
	list, ok := f.raw.([]any)
	return ok && f.at < len(list)
}

// bytes returns the next string; nil for Redis's nil.
func (f *fields) bytes() []byte {
	list, ok := f.raw.([]any)
	if !ok || f.at >= len(list) {
		f.bad = true
		return nil
	}
	v := list[f.at]
	f.at++
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	}
	f.bad = true
	return nil
}

// value returns the next string; nil for an empty one, which is how the
// scripts say that there is none.
func (f *fields) value() []byte {
	if b := f.bytes(); len(b) > 0 {
		return b
	}
	return nil
}

func (f *fields) int64() int64 {
	n, err := strconv.ParseInt(string(f.bytes()), 10, 64)
	if err != nil {
		f.bad = true
	}
	return n
}

// count is a number that is absent while it is zero.
func (f *fields) count() int64 {
	b := f.bytes()
	if b == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		f.bad = true
	}
	return n
}

// recorded reads "version record".
func (f *fields) recorded() cluster.Recorded {
	b := f.bytes()
	if b == nil {
		return cluster.Recorded{}
	}
	version, record, ok := bytes.Cut(b, []byte(" "))
	n, err := strconv.ParseInt(string(version), 10, 64)
	if !ok || err != nil {
		f.bad = true
	}
	return cluster.Recorded{Version: n, Record: record}
}

func (f *fields) check(what string) error {
	if f.bad {
		return fmt.Errorf("redis: %s: the server answers %.200q: not what our script returns", what, fmt.Sprint(f.raw))
	}
	return nil
}
