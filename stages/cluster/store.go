package cluster

import (
	"context"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

// TagSize is the length of the random tag that every opaque value starts
// with. A store compares tags and never looks further.
const TagSize = 16

// CentroidStore keeps the centroids of one namespace and one model bundle,
// and each partition's cursor beside them. Every method is one atomic step:
// it happens as a whole or not at all, and may be called again when its reply
// was lost. A store may go back in time as a whole, but never in part.
//
// Methods return *stages.Transient while the store is away, and any other
// error when it never will do what is asked. Outcomes of the protocol are
// statuses, not errors.
//
// clustertest.Memory is the specification; clustertest.Conform compares
// another store with it.
type CentroidStore interface {
	// Claim gives a partition a new token, which fences whoever held it. A
	// partition without a cursor gets one.
	Claim(ctx context.Context, r ClaimRequest) (ClaimReply, error)
	// Cursor reads how far a partition is folded; false where it was never
	// claimed.
	Cursor(ctx context.Context, p schemas.Partition) (incarnation string, cursor int64, ok bool, err error)
	// Load reads everything but the sample's slots, as one state.
	Load(ctx context.Context) (State, error)
	// Fold checks, in this order: the incarnation, the token, the cursor, a
	// freeze of the sample, every tag. If all agree it applies everything.
	Fold(ctx context.Context, r FoldRequest) (FoldReply, error)
	// Rows reads centroids; nil where there is none.
	Rows(ctx context.Context, ids []string) ([][]byte, error)
	// Slots reads slots of the sample; nil where there is none.
	Slots(ctx context.Context, slots []int) ([][]byte, error)
	// Lease lets one holder make the first centroids, until the lease ends
	// by itself or is released. With freeze no fold changes the sample
	// meanwhile. The same holder may renew it. False: somebody else holds it.
	Lease(ctx context.Context, holder string, ttl time.Duration, freeze bool) (bool, error)
	// Release ends the holder's lease, if it is still the holder's.
	Release(ctx context.Context, holder string) error
	// Init installs the first centroids in place of the sample, if the
	// sample's totals still bear the expected tag and there are no
	// centroids.
	Init(ctx context.Context, r InitRequest) (InitReply, error)
	// Snapshot reads everything, as one state; the zero value when there is
	// nothing.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Restore replaces everything by r.Snapshot, and ends the lease. False,
	// and nothing changed: the store holds another state than r.Replace.
	Restore(ctx context.Context, r RestoreRequest) (bool, error)
}

// ClaimRequest asks for a partition.
type ClaimRequest struct {
	Partition schemas.Partition
	// Incarnation names the state if it is a new one.
	Incarnation string
	// Base is where the bundle began on the partition, as the caller knows
	// for sure; −1 when it doesn't. It replaces the stored one.
	Base int64
	// Fallback is the base when nobody knows one.
	Fallback int64
	// Floor raises a cursor that lies below; the offsets between are a gap.
	Floor int64
}

// ClaimReply is what a claim got.
type ClaimReply struct {
	Incarnation         string
	Token, Cursor, Base int64
	// Gap are offsets that will never be folded: below the floor.
	Gap schemas.OffsetRange
	// Last is the record of the last fold on the partition.
	Last Recorded
}

// Recorded is what a fold left behind: the centroids' version after it, and
// its record. The zero value means there is none.
type Recorded struct {
	Version int64
	Record  []byte
}

// State is everything but the sample's slots.
type State struct {
	Incarnation string // "" when there is nothing at all
	Version     int64  // number of folds and inits
	Pairs       int64  // pairs folded: the clock of the decay
	Ledger      []byte // totals of retired centroids; nil before Init
	Sample      []byte // totals of the sample; nil before the first fold
	Rows        map[string][]byte
}

// Kind says what a Write changes.
type Kind uint8

// Kinds of writes.
const (
	KindCentroid Kind = iota // the row called ID
	KindTotals               // LedgerID or SampleID
)

// IDs of the totals.
const (
	LedgerID = "ledger"
	SampleID = "sample"
)

// Write replaces one opaque value.
type Write struct {
	Kind Kind
	ID   string
	// Expect is the tag that the stored value must bear; nil: there must be
	// none.
	Expect []byte
	// Value is the new tag and body; nil removes.
	Value []byte
}

// Slot is one member of the sample.
type Slot struct {
	Index int
	Value []byte
}

// FoldRequest moves one partition's cursor over a range, and what follows
// from it.
type FoldRequest struct {
	Incarnation string
	Partition   schemas.Partition
	Token       int64
	Range       schemas.OffsetRange
	Pairs       int // pairs in the range that are counted
	Record      []byte
	// Sampling says that the fold adds to the sample.
	Sampling bool
	Writes   []Write
	Slots    []Slot
}

// FoldStatus is how a fold ended.
type FoldStatus string

// Fold statuses. Only FoldOK changed anything.
const (
	FoldOK       FoldStatus = "OK"
	FoldNoModel  FoldStatus = "NOMODEL"  // another incarnation: the state was lost or replaced
	FoldFenced   FoldStatus = "FENCED"   // somebody claimed the partition since
	FoldDup      FoldStatus = "DUP"      // the whole range is folded already
	FoldCut      FoldStatus = "CUT"      // a first part of the range is folded already
	FoldBehind   FoldStatus = "BEHIND"   // the cursor is before the range
	FoldWait     FoldStatus = "WAIT"     // the sample is frozen
	FoldConflict FoldStatus = "CONFLICT" // some values are not the expected ones
)

// FoldReply answers a fold.
type FoldReply struct {
	Status FoldStatus
	// Version, Pairs and Ledger (only the tag) are the state after FoldOK.
	Version, Pairs int64
	Ledger         []byte
	// Cursor is the partition's; with FoldDup, FoldCut and FoldBehind.
	Cursor int64
	// Last is the record of the last fold; with FoldDup and FoldCut.
	Last Recorded
	// Conflicts are the values that differ; with FoldConflict.
	Conflicts []Current
}

// Current is a value as the store holds it; a nil Value means it has none.
type Current struct {
	Kind  Kind
	ID    string
	Value []byte
}

// InitRequest installs the first centroids.
type InitRequest struct {
	Incarnation string
	// Expect is the tag of the sample's totals.
	Expect []byte
	// Sample and Ledger replace the totals; the slots are removed.
	Sample, Ledger []byte
	Rows           map[string][]byte
}

// InitReply answers an init: FoldOK, FoldNoModel or FoldConflict.
type InitReply struct {
	Status FoldStatus
}

// RestoreRequest brings a snapshot back.
type RestoreRequest struct {
	// Replace is the incarnation that the store must hold; empty: none.
	Replace  string
	Snapshot Snapshot
}
