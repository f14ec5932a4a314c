package oracle

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/schemas"
)

// collection is what came into the collected topic.
type collection struct {
	pairs     map[string]int // times, by result id and index
	takedowns map[string]int // times, by post id
	images    map[string]bool
}

func newCollection() collection {
	return collection{pairs: map[string]int{}, takedowns: map[string]int{}, images: map[string]bool{}}
}

func pairName(resultID string, index int) string { return fmt.Sprintf("%s/%d", resultID, index) }

func (o *Oracle) noteCollected(r *kgo.Record) {
	switch row, takedown, err := schemas.ReadCollection(r.Value); {
	case err != nil:
		o.stray(r, err.Error())
	case row != nil && row.PostID == string(r.Key):
		o.seen.collected.pairs[pairName(row.ResultID, row.Pair)]++
		o.seen.collected.images[row.Image.Digest] = true
	case takedown != nil && takedown.PostID == string(r.Key):
		o.seen.collected.takedowns[takedown.PostID]++
	default:
		o.stray(r, "the key is not the post's id")
	}
}

// Images are the digests of all images that were collected, in order.
func (o *Oracle) Images() []string {
	images := make([]string, 0, len(o.seen.collected.images))
	for digest := range o.seen.collected.images {
		images = append(images, digest)
	}
	slices.Sort(images)
	return images
}

// collected checks that each labelled pair was collected as often as its
// result came, and each delete is as often a takedown.
func (j *judgement) collected() {
	pairs, takedowns := map[string]int{}, map[string]int{}
	for _, outs := range j.seen.outcomes {
		for _, out := range outs {
			switch {
			case out.kind == schemas.OutcomeTombstone:
				takedowns[string(out.record.Key)]++
			case out.result == nil:
			default:
				for i := range out.result.Pairs {
					if p := &out.result.Pairs[i]; p.Failure == "" {
						pairs[pairName(out.result.ResultID, p.Index)]++
					}
				}
			}
		}
	}
	j.compare("pair", pairs, j.seen.collected.pairs)
	j.compare("takedown", takedowns, j.seen.collected.takedowns)
}

func (j *judgement) compare(what string, want, got map[string]int) {
	for name, times := range want {
		if got[name] != times {
			j.v.wrong("%s %s was collected %d times, not %d", what, name, got[name], times)
		}
	}
	for name, times := range got {
		if want[name] == 0 {
			j.v.wrong("%s %s was collected %d times, and its post has no such outcome", what, name, times)
		}
	}
}
