package cluster

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

// ErrClaimAgain means that the partition's cursor is not where the claim
// thinks it is, or that the state is another one: call Stage.Claim again and
// go on from what it says.
var ErrClaimAgain = errors.New("the cursor has moved: claim the partition again")

// ErrFenced means that somebody else has claimed the partition since. Claim
// it again only after the group has confirmed that it is still ours.
var ErrFenced = errors.New("another worker has claimed the partition")

// Stage holds the centroids of one process. All its partitions share them.
// Its methods, and those of different claims, may be called at the same time.
type Stage struct {
	config   Config
	settings Settings

	set atomic.Pointer[centroids]
	// turn is held to read all centroids and to fold, so that partitions of
	// one process do not conflict with each other.
	turn chan struct{}
	// initialising is held by the partition that makes the first centroids.
	initialising sync.Mutex
	// holder names this process to the lease: one that was granted in a reply
	// that never came is simply taken again.
	holder string

	// forgiven holds, for a partition, the offset that beyond has seen
	// once.
	forgiven sync.Map

	randomMu sync.Mutex
	random   *rand.Rand
}

// New returns a stage. The configuration must be valid.
func New(c Config, s Settings) (*Stage, error) {
	if err := errors.Join(c.Validate(), s.complete()); err != nil {
		return nil, err
	}
	st := &Stage{config: c, settings: s, turn: make(chan struct{}, 1)}
	if n := st.slots(); n < uint64(c.K) { //nolint:gosec // validated positive
		return nil, fmt.Errorf("cluster: sample_bytes: %d holds %d embeddings of width %d; k = %d needs at least as many",
			c.SampleBytes, n, s.Dim, c.K)
	}
	var seed [32]byte
	if _, err := io.ReadFull(s.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("cluster: read random bytes: %w", err)
	}
	st.random = rand.New(rand.NewChaCha8(seed)) //nolint:gosec // for sampling; names come from Settings.Rand
	name, err := st.newName()
	if err != nil {
		return nil, err
	}
	st.holder = name
	return st, nil
}

// slots is how many members the sample has at most.
func (s *Stage) slots() uint64 {
	return uint64(s.config.SampleBytes / memberBytes(s.settings.Dim)) //nolint:gosec // validated positive
}

// Totals are sums over everything the store holds, for tests, summaries and
// metrics.
type Totals struct {
	// Count and Checksum are over live and retired centroids and the sample:
	// every pair ever folded.
	Count, Checksum uint64
	// Retired is the part of Count that retired centroids hold, Sampled the
	// part that waits in the sample.
	Retired, Sampled uint64
	Version          int64
	Clusters         int
	Bootstrapping    bool
	Sizes            []Size // by id
}

// Size is how large one cluster is.
type Size struct {
	Cluster string
	Size    float64 // decayed, in pairs, as of the cluster's last pair
	Count   uint64
}

// Totals reads the totals from the store, in one step.
func (s *Stage) Totals(ctx context.Context) (Totals, error) {
	set, err := s.read(ctx)
	if err != nil {
		return Totals{}, err
	}
	t := Totals{Version: set.version, Clusters: len(set.rows), Bootstrapping: set.sampling()}
	for _, held := range []*totals{set.ledger, set.sample} {
		if held != nil {
			t.Count += held.count
			t.Checksum += held.checksum
		}
	}
	if set.ledger != nil {
		t.Retired = set.ledger.count
	}
	if set.sample != nil {
		t.Sampled = set.sample.count
	}
	for i, r := range set.rows {
		t.Count += r.count
		t.Checksum += r.checksum
		t.Sizes = append(t.Sizes, Size{Cluster: set.ids[i], Size: r.weight, Count: r.count})
	}
	return t, nil
}

func (s *Stage) read(ctx context.Context) (*centroids, error) {
	st, err := s.settings.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster: read the centroids: %w", err)
	}
	return decodeState(st, s.settings.Dim, s.settings.Now())
}

// takeTurn waits for the turn and returns what gives it back.
func (s *Stage) takeTurn(ctx context.Context) (func(), error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// current returns centroids of the claim's incarnation, read from the store
// when the process has none that are fit for use.
func (s *Stage) current(ctx context.Context, incarnation string) (*centroids, error) {
	if set := s.set.Load(); set.usable(incarnation) {
		return set, nil
	}
	giveBack, err := s.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	if set := s.set.Load(); set.usable(incarnation) {
		return set, nil
	}
	set, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	s.set.Store(set)
	if set.incarnation != incarnation {
		return nil, fmt.Errorf("cluster: the store holds another state than the one claimed: %w", ErrClaimAgain)
	}
	return set, nil
}

// doubt has the centroids read again before they are next used. The caller
// holds the turn.
func (s *Stage) doubt() {
	if set := s.set.Load(); set != nil && !set.stale {
		next := *set
		next.stale = true
		s.set.Store(&next)
	}
}

// distrust has the centroids read again, as doubt does, for callers without
// the turn.
func (s *Stage) distrust(ctx context.Context) error {
	giveBack, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	s.doubt()
	return nil
}

func (s *Stage) newTag() (tag [TagSize]byte, err error) {
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	if _, err = io.ReadFull(s.settings.Rand, tag[:]); err != nil {
		return tag, fmt.Errorf("cluster: read random bytes: %w", err)
	}
	return tag, nil
}

// newName returns 80 random bits: a name that nobody else gives, not even on
// a store that has gone back in time.
func (s *Stage) newName() (string, error) {
	tag, err := s.newTag()
	if err != nil {
		return "", err
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(tag[:10])), nil
}

// uint64N returns a random number below n.
func (s *Stage) uint64N(n uint64) uint64 {
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	return s.random.Uint64N(n)
}

func (s *Stage) float64() float64 {
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	return s.random.Float64()
}

// pause waits before attempt is repeated; the first repetition comes at once.
func (s *Stage) pause(ctx context.Context, attempt int) error {
	if attempt < 2 {
		return ctx.Err()
	}
	most := time.Millisecond << min(attempt, 7)
	t := time.NewTimer(most/2 + time.Duration(s.uint64N(uint64(most/2)))) //nolint:gosec // below 128 ms
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func fieldOf(p schemas.Partition, r schemas.OffsetRange) string { return p.String() + " " + r.String() }
