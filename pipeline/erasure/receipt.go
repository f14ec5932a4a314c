package erasure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/collector/takedown"
)

// Receipt says what was taken out, or would be, and what stays.
type Receipt struct {
	Subject     string    `json:"subject,omitempty"`
	Author      string    `json:"author,omitempty"` // as rows name him
	Media       bool      `json:"media"`
	Reason      string    `json:"reason,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
	Executed    bool      `json:"executed"`
	Took        float64   `json:"seconds,omitempty"`

	// Rows were taken out of the data set, or would be.
	Rows   []Removed `json:"rows"`
	Shards []string  `json:"shards"` // rewritten, as they were called before
	// Images were deleted from the image store; Waiting go later.
	Images  []string `json:"images"`
	Waiting []string `json:"images_waiting,omitempty"`
	// Deletes are the posts that the label pipeline was asked to forget; Named
	// are those that its centroids name.
	Deletes []string `json:"deletes"`
	Named   []string `json:"named"`

	Remains []Remain `json:"remains"`
}

// Removed is one row.
type Removed struct {
	ResultID string `json:"result_id"`
	Pair     int    `json:"pair"`
	PostID   string `json:"post_id"`
	Image    string `json:"image"` // digest
}

// Remain is something that a takedown does not reach.
type Remain struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Until string `json:"until"`
}

func (e *Erasure) receipt() *Receipt {
	return &Receipt{
		Subject: e.target.Subject, Author: e.target.author, Media: e.target.Media, Reason: e.target.Reason, RequestedAt: e.set.Now().UTC(),
		Rows: []Removed{}, Shards: []string{}, Images: []string{}, Deletes: []string{}, Named: []string{}, Remains: []Remain{},
	}
}

func (r *Receipt) row(row *dataset.Row) {
	c := &row.Collected
	r.Rows = append(r.Rows, Removed{ResultID: c.ResultID, Pair: c.Pair, PostID: c.PostID, Image: c.Image.Digest})
}

func (r *Receipt) add(found takedown.Report) {
	for i := range found.Rows {
		r.row(&found.Rows[i])
	}
	r.Shards = append(r.Shards, found.Shards...)
	r.Images = append(r.Images, found.Images...)
	r.Waiting = found.Waiting
}

// posts are those of the rows.
func (r *Receipt) posts() []string {
	var all []string
	for _, row := range r.Rows {
		all = append(all, row.PostID)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// remains says what stays, and for how long.
func (e *Erasure) remains(ctx context.Context) ([]Remain, error) {
	t := e.cfg.Topics
	type kept struct{ topic, what string }
	var topics []kept
	for _, topic := range t.Posts {
		topics = append(topics, kept{topic, "the posts as they came, and the deletes"})
	}
	topics = append(
		topics,
		kept{t.Results, "results, with the posts' text"},
		kept{t.Moderation, "copies of results"},
		kept{t.Review, "copies of results"},
		kept{t.DeadLetter, "posts that failed, as they came"},
		kept{t.Clusters, "ids of posts near a centroid"},
	)
	if e.collected > 0 {
		topics = append(topics, kept{t.Collected, "what was chosen for the data set, with the posts' text, and the takedown"})
	}
	var all []Remain
	for _, k := range topics {
		retention, ok, err := e.client.TopicRetention(ctx, k.topic)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, Remain{Where: "topic " + k.topic, What: k.what, Until: until(retention)})
		}
	}
	const ever = "for ever"
	all = append(
		all,
		Remain{Where: "centroids", What: "means and counts that the pairs have gone into; nobody can make a post of them, or take it out", Until: ever},
		Remain{Where: "Redis' own files", What: "ids of posts near a centroid, in earlier states", Until: "until Redis writes its snapshot or log anew"},
	)
	if e.centroids == nil {
		all = append(all, Remain{Where: "Redis", What: "not looked at: redis.addr is empty", Until: "until the label pipeline reads the deletes"})
	}
	if e.folder != nil {
		all = append(
			all,
			Remain{Where: "takedowns/ of the data set", What: "SHA-256 of the ids, to keep them out", Until: ever},
			Remain{Where: "the stores of the data set and of its images", What: "former versions of objects, where the store keeps such", Until: "as the store is set"},
			Remain{Where: "copies", What: "what was read from the data set before, and models trained on it", Until: "unknown"},
		)
	}
	return all, nil
}

func until(r kafka.Retention) string {
	const day = 24 * time.Hour
	age := r.Age.String()
	if r.Age == day {
		age = "a day"
	} else if r.Age%day == 0 {
		age = fmt.Sprintf("%d days", r.Age/day)
	}
	var text string
	switch {
	case r.Deleted && r.Age > 0:
		text = age + " after each was written (retention.ms), when its segment is deleted"
	case r.Deleted && r.Bytes > 0:
		text = fmt.Sprintf("until %d newer bytes of a partition displace them (retention.bytes)", r.Bytes)
	case r.Deleted || !r.Compacted:
		return "for ever (retention.ms is -1)"
	}
	if r.Compacted {
		if text != "" {
			text += ", or "
		}
		text += "until compaction, after a newer record of the same key"
	}
	return text
}
