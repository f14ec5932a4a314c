package infer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/itrstream/itrstream/model"
)

// run is what the Encoder is given at once: rows of one or more jobs.
type run struct {
	parts []part
	rows  int
}

// part is a stretch of one job's rows.
type part struct {
	job  *job
	rows []int
}

func (r *run) finish(err error) {
	for _, p := range r.parts {
		p.job.finish(p.rows, err)
	}
}

// join makes runs of jobs. The open run takes rows until it is full, or until
// its first row has waited MaxWait and a worker is free.
func (s *Stage) join() {
	defer close(s.runs)
	var open *run
	var rest part // rows of the last job that no run has taken yet
	timer := time.NewTimer(0)
	defer timer.Stop()
	ripe := false
	for {
		if len(rest.rows) > 0 && (open == nil || open.rows < s.cfg.MaxBatch) {
			if open == nil {
				open, ripe = &run{}, s.cfg.MaxWait == 0
				if !ripe {
					timer.Reset(s.cfg.MaxWait)
				}
			}
			taken := min(len(rest.rows), s.cfg.MaxBatch-open.rows)
			open.parts = append(open.parts, part{rest.job, rest.rows[:taken]})
			open.rows += taken
			rest.rows = rest.rows[taken:]
		}
		var in <-chan *job
		if len(rest.rows) == 0 && (open == nil || open.rows < s.cfg.MaxBatch) {
			in = s.jobs
		}
		var out chan<- *run
		if open != nil && (ripe || open.rows == s.cfg.MaxBatch) {
			out = s.runs
		}
		select {
		case j := <-in:
			rest = part{j, j.rows}
		case out <- open:
			open = nil
		case <-timer.C:
			ripe = true
		case <-s.ctx.Done():
			if open != nil {
				open.finish(ErrClosed)
			}
			if len(rest.rows) > 0 {
				rest.job.finish(rest.rows, ErrClosed)
			}
			return
		}
	}
}

// work does one run after the other.
func (s *Stage) work() {
	for r := range s.runs {
		s.do(r)
	}
}

func (s *Stage) do(r *run) {
	// Rows whose caller has gone are left out, and when the last caller goes,
	// the run is broken off.
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var callers atomic.Int64
	live := r.parts[:0]
	for _, p := range r.parts {
		if p.job.ctx.Err() != nil {
			p.job.finish(p.rows, p.job.ctx.Err())
			continue
		}
		live = append(live, p)
	}
	r.parts = live
	callers.Store(int64(len(live)))
	for _, p := range live {
		stop := context.AfterFunc(p.job.ctx, func() {
			if callers.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	if len(live) == 0 {
		return
	}
	in := inputOf(live, r.rows)
	s.settings.Metrics.run(len(in.Texts))
	out, err := s.settings.Encoder.Encode(ctx, in)
	switch {
	case s.ctx.Err() != nil:
		err = ErrClosed
	case err != nil:
		err = fmt.Errorf("the model failed on %d pairs: %w", len(in.Texts), err)
	}
	if err == nil {
		i := 0
		for _, p := range live {
			for _, row := range p.rows {
				p.job.set(row, out, i)
				i++
			}
		}
	}
	r.finish(err)
}

// inputOf gathers the rows of a run.
func inputOf(parts []part, rows int) model.Input {
	in := model.Input{Texts: make([]string, 0, rows), Images: make([][]float32, 0, rows)}
	for _, p := range parts {
		for _, row := range p.rows {
			in.Texts = append(in.Texts, textAt(p.job.text, int(p.job.postOf.Value(row))))
			in.Images = append(in.Images, p.job.imageAt(row))
		}
	}
	return in
}
