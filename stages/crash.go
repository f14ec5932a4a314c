package stages

import "context"

// CrashPoint is a moment at which the crash tests kill a worker. What recovery
// must then do stands beside each; nothing happens there in production.
type CrashPoint string

// Crash points, in the order in which one batch passes them. K is Kafka's
// committed offset, R the cursor in Redis.
const (
	// AfterInitProducer: the former owner is fenced, its open transaction
	// aborted, and nothing is claimed. The next owner does the same again.
	AfterInitProducer CrashPoint = "after-init-producer"
	// AfterClaim: the token in Redis is ours and nothing is folded with it.
	// The next claim takes a newer one, K and R stand.
	AfterClaim CrashPoint = "after-claim"
	// AfterPoll, AfterDecode, AfterMedia and AfterInfer: the batch is only in
	// memory. It is fetched again from K.
	AfterPoll   CrashPoint = "after-poll"
	AfterDecode CrashPoint = "after-decode"
	AfterMedia  CrashPoint = "after-media"
	AfterInfer  CrashPoint = "after-infer"
	// BeforeFold: as AfterInfer, but the earlier batches are all committed.
	BeforeFold CrashPoint = "before-fold"
	// DuringBootstrap: a fold has put the batch into the sample; R is beyond
	// K. It is emitted as bootstrapping and not sampled again.
	DuringBootstrap CrashPoint = "during-bootstrap"
	// BeforeInit: the lease is ours and the sample is frozen. Nobody samples
	// until the freeze ends by itself; then another worker makes the
	// centroids.
	BeforeInit CrashPoint = "before-init"
	// AfterInit: the centroids are installed and hold the whole sample, and
	// the batch that found it full is not folded yet. It is fetched again.
	AfterInit CrashPoint = "after-init"
	// BeforeReseed: a fold that replaces a centroid is planned. Whoever
	// fetches the batch again plans anew, under another public id.
	BeforeReseed CrashPoint = "before-reseed"
	// AfterReseed: such a fold is applied and not emitted. Its lineage events
	// come from the record of the fold.
	AfterReseed CrashPoint = "after-reseed"
	// AfterFold: R is beyond K. The batch is emitted with the assignments
	// that the fold has recorded, and not folded again.
	AfterFold CrashPoint = "after-fold"
	// AfterImagePut: as AfterFold, and images of the pairs that are chosen for
	// the data set lie in the image store, with no record that refers to them.
	// The batch is emitted with the same choice, and putting them again changes nothing.
	AfterImagePut CrashPoint = "after-image-put"
	// BeforeProduce: as AfterFold, with the records ready.
	BeforeProduce CrashPoint = "before-produce"
	// AfterProduce: the outputs lie in the topics, in an open transaction; the
	// offset may be part of it. The next owner's InitProducerID aborts it;
	// committed readers never see it.
	AfterProduce CrashPoint = "after-produce"
	// BeforeEndTxn: outputs and offset are part of the open transaction. Both
	// are aborted together.
	BeforeEndTxn CrashPoint = "before-end-txn"
	// AfterEndTxn: everything is committed and we alone don't know. The next
	// owner reads K behind the batch.
	AfterEndTxn CrashPoint = "after-end-txn"
	// DuringRevoke: the partition is being taken away and batches are still
	// in flight. As any of the above, with the next owner waiting.
	DuringRevoke CrashPoint = "during-revoke"
)

// CrashPoints lists all of them.
func CrashPoints() []CrashPoint {
	return []CrashPoint{
		AfterInitProducer, AfterClaim, AfterPoll, AfterDecode, AfterMedia, AfterInfer, BeforeFold, DuringBootstrap, BeforeInit, AfterInit,
		BeforeReseed, AfterReseed, AfterFold, AfterImagePut, BeforeProduce, AfterProduce, BeforeEndTxn, AfterEndTxn, DuringRevoke,
	}
}

type crashKey struct{}

// WithCrashes returns a context under which crash is called at every crash
// point.
func WithCrashes(ctx context.Context, crash func(CrashPoint)) context.Context {
	return context.WithValue(ctx, crashKey{}, crash)
}

// Reach says that a crash point is reached.
func Reach(ctx context.Context, p CrashPoint) {
	if crash, ok := ctx.Value(crashKey{}).(func(CrashPoint)); ok {
		crash(p)
	}
}
