// Package plain does what a Dockerfile says in plain folders, where no
// container engine runs, so that CI knows that each step works.
//
// What differs from an engine: base images are not pulled. Build stages run on
// the machine's own root file system, which must be Debian-like and have their
// tools; the last stage gets a root of a few of the machine's packages. So what a base image
// lacks goes unnoticed, while paths, commands, digests and what is copied where are the
// Dockerfile's own.
//
// Wondering which steps there are? Read Parse; an unknown one is an error.
// Wondering what a step sees? Read Build.Stage.
// Wondering what the image's process sees? Read Image.Run.
package plain

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Stage is one FROM with what follows.
type Stage struct {
	Base string // tag and digest included
	Name string // of AS; empty for none
	// Steps are the instructions in order.
	Steps []Step
}

// Step is one instruction.
type Step struct {
	Line     int
	Name     string // RUN, COPY, …
	Args     []string
	Flags    []string // --mount=…, --from=…
	JSON     bool     // Args came as a JSON array
	Original string
}

// pinned matches a base by tag and digest.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}$`)

// Parse reads a Dockerfile. Bases that are not pinned by tag and digest, and
// steps that this package does not know, are errors.
func Parse(r io.Reader) ([]Stage, error) {
	result, err := parser.Parse(r)
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	var stages []Stage
	for _, node := range result.AST.Children {
		step := Step{
			Line: node.StartLine, Name: strings.ToUpper(node.Value), Flags: node.Flags,
			JSON: node.Attributes["json"], Original: node.Original,
		}
		sub := node.Next
		if step.Name == "HEALTHCHECK" && sub != nil {
			sub = sub.Next // the word CMD
		}
		for ; sub != nil; sub = sub.Next {
			step.Args = append(step.Args, sub.Value)
		}
		switch step.Name {
		case "FROM":
			if len(step.Args) == 0 || !pinned.MatchString(step.Args[0]) {
				return nil, fmt.Errorf("plain: line %d: %s: the base is not pinned by tag and digest", step.Line, step.Original)
			}
			stage := Stage{Base: step.Args[0]}
			if len(step.Args) == 3 && strings.EqualFold(step.Args[1], "as") {
				stage.Name = step.Args[2]
			}
			stages = append(stages, stage)
			continue
		case "RUN", "COPY", "WORKDIR", "ENV", "ARG", "USER", "LABEL", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD":
		default:
			return nil, fmt.Errorf("plain: line %d: %s is not known here", step.Line, step.Name)
		}
		if len(stages) == 0 {
			return nil, fmt.Errorf("plain: line %d: %s before any FROM", step.Line, step.Name)
		}
		last := &stages[len(stages)-1]
		last.Steps = append(last.Steps, step)
	}
	return stages, nil
}
