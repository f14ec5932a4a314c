package oracle

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/schemas"
)

// Verdict counts what is wrong. All zeros is right.
type Verdict struct {
	Inputs int
	// Lost inputs have no outcome, Duplicated is how many outcomes are too
	// many, OutOfOrder how many came after one of a later offset.
	Lost, Duplicated, OutOfOrder int
	// DoubleFolded and Unfolded are pairs, by the centroids' count.
	DoubleFolded, Unfolded uint64
	// Wrong outcomes are not what their input asks for.
	Wrong int
	// Repeated outcomes are too many where the rules allow it: no fault.
	Repeated int
	// Details tell the first few of each.
	Details []string
}

// Right reports whether nothing is wrong.
func (v *Verdict) Right() bool {
	return v.Lost == 0 && v.Duplicated == 0 && v.OutOfOrder == 0 && v.DoubleFolded == 0 && v.Unfolded == 0 && v.Wrong == 0
}

// String is one line for people.
func (v *Verdict) String() string {
	s := fmt.Sprintf("lost %d, duplicated %d, out of order %d, double-folded %d, unfolded %d",
		v.Lost, v.Duplicated, v.OutOfOrder, v.DoubleFolded, v.Unfolded)
	if v.Wrong > 0 {
		s += fmt.Sprintf(", wrong %d", v.Wrong)
	}
	return s
}

// Add sums up verdicts of several runs.
func (v *Verdict) Add(w Verdict) {
	v.Inputs += w.Inputs
	v.Lost += w.Lost
	v.Duplicated += w.Duplicated
	v.OutOfOrder += w.OutOfOrder
	v.DoubleFolded += w.DoubleFolded
	v.Unfolded += w.Unfolded
	v.Wrong += w.Wrong
	v.Repeated += w.Repeated
	v.Details = append(v.Details, w.Details...)
}

// toldOfEach is how many of one kind are told.
const toldOfEach = 5

// say tells the nth of a kind.
func (v *Verdict) say(nth int, format string, args ...any) {
	if nth <= toldOfEach {
		v.Details = append(v.Details, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) wrong(format string, args ...any) {
	v.Wrong++
	v.say(v.Wrong, format, args...)
}

// Rules say what a run may have seen.
type Rules struct {
	// Repeats allows an outcome to come again, with the same result id, as at
	// least once does.
	Repeats bool
	// Rollback says that Redis went back in time, or the group's offsets did:
	// then pairs may be assigned twice, and the emitted cluster is not always
	// the one that holds the pair.
	Rollback bool
	// Changes says that the bundle or the configuration was another one for a
	// while. The centroids are those of one bundle.
	Changes bool
	// Collected says that every labelled pair is collected: collect.rate is 1.
	Collected bool
}

// Judge holds everything that came out against the inputs, and the centroids
// against both; nil leaves them out.
func (o *Oracle) Judge(c *Centroids, r Rules) Verdict {
	v := Verdict{Inputs: len(o.inputs)}
	j := judgement{Oracle: o, v: &v, rules: r, labels: map[string]schemas.Scores{}, emitted: map[string]uint64{}}
	ids := map[string]place{}
	for _, at := range o.places() {
		id := o.resultID(at)
		ids[id] = at
		j.input(at, id)
	}
	for id, outs := range o.seen.outcomes {
		if _, ok := ids[id]; !ok {
			v.Duplicated += len(outs)
			v.say(v.Duplicated, "%s/%d offset %d: an outcome of no input", outs[0].record.Topic, outs[0].record.Partition, outs[0].record.Offset)
		}
	}
	for _, s := range o.seen.strays {
		v.wrong("%s", s)
	}
	j.order(ids)
	if r.Collected {
		j.collected()
	}
	if c != nil {
		j.centroids(c)
	}
	return v
}

// places are the inputs in order of partition and offset.
func (o *Oracle) places() []place {
	at := make([]place, 0, len(o.inputs))
	for p := range o.inputs {
		at = append(at, p)
	}
	slices.SortFunc(at, func(a, b place) int {
		if a.partition != b.partition {
			return int(a.partition - b.partition)
		}
		return int(a.offset - b.offset)
	})
	return at
}

// Model is the digest of the bundle that labelled first; empty before any
// result.
func (o *Oracle) Model() string {
	for _, outs := range o.seen.outcomes {
		if outs[0].result != nil {
			return outs[0].result.Model.Digest
		}
	}
	return ""
}

type judgement struct {
	*Oracle
	v     *Verdict
	rules Rules
	// labels holds what a model, a text and an image were labelled first: a replay
	// gives the same.
	labels map[string]schemas.Scores
	digest [2]string // of bundle and configuration
	// emitted counts assigned pairs by cluster; sampled those that had none yet.
	emitted map[string]uint64
	sampled uint64
}

func (j *judgement) input(at place, id string) {
	in, outs := j.inputs[at], j.seen.outcomes[id]
	where := fmt.Sprintf("input %d/%d (%s of %s)", at.partition, at.offset, in.Outcome, in.Post)
	switch {
	case len(outs) == 0:
		j.v.Lost++
		j.v.say(j.v.Lost, "%s has no outcome", where)
		return
	case j.rules.Repeats:
		j.v.Repeated += len(outs) - 1
	case len(outs) > 1:
		j.v.Duplicated += len(outs) - 1
		j.v.say(j.v.Duplicated, "%s has %d outcomes", where, len(outs))
	}
	for i, out := range outs {
		if out.kind != in.Outcome {
			j.v.wrong("%s became a %s", where, out.kind)
			continue
		}
		if fault := j.fault(in, out, id, i == 0); fault != "" {
			j.v.wrong("%s: %s", where, fault)
		}
	}
}

// fault says what is wrong with an outcome of the right kind.
func (j *judgement) fault(in *Post, out outcome, id string, first bool) string {
	r := out.record
	switch out.kind {
	case schemas.OutcomeDeadLetter:
		if fault := original(in, r); fault != "" {
			return fault
		}
		if got := schemas.Reason(header(r, schemas.HeaderReason)); got != in.Reason {
			return fmt.Sprintf("the reason is %s, not %s", got, in.Reason)
		}
		if header(r, schemas.HeaderStage) == "" || header(r, schemas.HeaderSourceTopic) != j.topics.Posts {
			return "the dead letter does not say from where"
		}
		return ""
	case schemas.OutcomeTombstone:
		if string(r.Key) != in.Post || header(r, schemas.HeaderInputKey) != string(in.Key) {
			return "the tombstone has another key"
		}
		return ""
	default:
		return j.resultFault(in, out, id, first)
	}
}

// cutHeader says how large a record was that no topic took.
const cutHeader = "itrstream-cut"

func original(in *Post, r *kgo.Record) string {
	if in.Cut {
		size := len(in.Key) + len(in.Value)
		for _, h := range in.Headers {
			size += len(h[0]) + len(h[1])
		}
		n, err := strconv.Atoi(header(r, cutHeader))
		// What the oracle adds itself counts, too.
		if err != nil || n < size || n > size+len(numberHeader)+20 || !bytes.HasPrefix(in.Key, r.Key) || !bytes.HasPrefix(in.Value, r.Value) {
			return "the dead letter is no beginning that says how long it was"
		}
		return ""
	}
	if !bytes.Equal(r.Value, in.Value) || !bytes.Equal(r.Key, in.Key) {
		return "the dead letter has not the original bytes"
	}
	for _, h := range in.Headers {
		if header(r, h[0]) != h[1] {
			return "the dead letter has not the original header " + h[0]
		}
	}
	return ""
}

func (j *judgement) resultFault(in *Post, out outcome, id string, first bool) string {
	got := out.result
	switch {
	case got.ResultID != id || header(out.record, schemas.HeaderResultID) != id:
		return "the result id is another one"
	case got.PostID != in.Post || string(out.record.Key) != in.Post || header(out.record, schemas.HeaderInputKey) != string(in.Key):
		return "the result has another key"
	case len(got.Pairs) != len(in.Images)+in.Failed:
		return fmt.Sprintf("%d pairs, not %d", len(got.Pairs), len(in.Images)+in.Failed)
	}
	digest := [2]string{got.Model.Digest, got.ConfigDigest}
	if j.digest == [2]string{} {
		j.digest = digest
	}
	if digest != j.digest && !j.rules.Changes || len(digest[0]) != 64 || len(digest[1]) != 64 {
		return fmt.Sprintf("bundle and configuration are %.12s and %.12s, not %.12s and %.12s", digest[0], digest[1], j.digest[0], j.digest[1])
	}
	var labelled []int
	for i := range got.Pairs {
		if got.Pairs[i].Failure != "" {
			if got.Pairs[i].Scores != nil {
				return fmt.Sprintf("image %d failed, with scores", got.Pairs[i].Index)
			}
			continue
		}
		labelled = append(labelled, got.Pairs[i].Index)
		if fault := j.pairFault(digest[0]+got.Text, &got.Pairs[i], first); fault != "" {
			return fmt.Sprintf("image %d: %s", got.Pairs[i].Index, fault)
		}
	}
	status, relation := schemas.StatusLabelled, slices.Contains(schemas.RelationNames(), got.Relation)
	if len(in.Images) == 0 {
		status, relation = schemas.StatusNoImage, got.Relation == ""
	}
	switch {
	case !slices.Equal(labelled, in.Images):
		return fmt.Sprintf("images %v are labelled, not %v", labelled, in.Images)
	case got.Status != status || !relation:
		return fmt.Sprintf("status %q with relation %q", got.Status, got.Relation)
	}
	return ""
}

// sameLabel is how far scores of the same post may differ between runs of the
// accelerator: batches of other sizes may round otherwise.
const sameLabel = 1e-4

func (j *judgement) pairFault(modelAndText string, p *schemas.Pair, first bool) string {
	s := p.Scores
	if s == nil || math.Abs(s.Neither+s.ImageAdds+s.TextRepresented+s.Both-1) > sameLabel {
		return "the scores are not probabilities"
	}
	if !slices.Contains(schemas.RelationNames(), p.Relation) {
		return fmt.Sprintf("relation %q", p.Relation)
	}
	key := p.Digest + modelAndText
	if was, ok := j.labels[key]; !ok {
		j.labels[key] = *s
	} else if max(math.Abs(was.Neither-s.Neither), math.Abs(was.ImageAdds-s.ImageAdds), math.Abs(was.TextRepresented-s.TextRepresented)) > sameLabel {
		return fmt.Sprintf("labelled %v here and %v elsewhere", *s, was)
	}
	switch p.ClusterStatus {
	case schemas.ClusterBootstrapping:
		if p.Cluster != nil {
			return "bootstrapping, with a cluster"
		}
		if first {
			j.sampled++
		}
	case schemas.ClusterAssigned, schemas.ClusterReassigned:
		if p.Cluster == nil || p.Distance == nil {
			return "assigned, without a cluster"
		}
		if p.ClusterStatus == schemas.ClusterReassigned && !j.rules.Rollback {
			return "reassigned, though Redis never went back in time"
		}
		if first {
			j.emitted[*p.Cluster]++
		}
	default:
		return fmt.Sprintf("cluster status %q", p.ClusterStatus)
	}
	return ""
}

// order checks that in each partition of an output topic, what comes from one
// input partition comes in its order.
func (j *judgement) order(ids map[string]place) {
	if j.rules.Repeats {
		return
	}
	for l, came := range j.seen.order {
		last := map[int32]int64{}
		for _, id := range came {
			at, ok := ids[id]
			if !ok {
				continue
			}
			if before, ok := last[at.partition]; ok && at.offset < before {
				j.v.OutOfOrder++
				j.v.say(j.v.OutOfOrder, "%s/%d: input %d/%d came after %d", l.topic, l.partition, at.partition, at.offset, before)
			}
			last[at.partition] = max(last[at.partition], at.offset)
		}
	}
}
