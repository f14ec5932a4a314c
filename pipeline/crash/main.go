package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/stages"
)

// crashesPerRun is after how many crashes everything starts from nothing, so
// that the beginning, too, is crashed often.
const crashesPerRun = 16

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errWrong) {
			fmt.Fprintln(os.Stderr, "crash:", err)
		}
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	crashes int
	seed    uint64
	real    bool
	keep    bool
	bundle  string
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "crash",
		Short: "Crash the pipeline, and count what it gets wrong",
		Example: `  go run ./pipeline/crash --crashes 200
  go run ./pipeline/crash --crashes 40 --seed 7        repeat the plan of seed 7
  go run ./pipeline/crash --crashes 50 --real          against Apache Kafka`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.seed == 0 {
				o.seed = uint64(rand.Uint32()) + 1 //nolint:gosec // a plan's name
			}
			return crash(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.crashes, "crashes", 200, "how often to crash something")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "seed of the plan; 0 chooses one")
	cmd.Flags().BoolVar(&o.real, "real", false, "use Apache Kafka, from the jars in $ITRSTREAM_KAFKA_LIBS, and not the embedded broker")
	cmd.Flags().BoolVar(&o.keep, "keep", false, "keep logs and data also when everything is right")
	cmd.Flags().StringVar(&o.bundle, "bundle", "model/testdata/tiny-bundle", "model `folder`")
	cmd.AddCommand(workerCommand(), brokerCommand())
	return cmd
}

// crash does all runs and prints the verdict.
func crash(ctx context.Context, o options) error {
	began := time.Now()
	fmt.Printf("seed %d: %d crashes\n", o.seed, o.crashes)
	var verdict oracle.Verdict
	hits, done := map[stages.CrashPoint]int{}, 0
	points := &queue{random: rand.New(rand.NewPCG(o.seed, math.MaxUint64))} //nolint:gosec // repeatable on purpose
	for n := 0; done < o.crashes; n++ {
		r := &run{
			options: o, number: n, total: o.crashes, before: done, hits: hits, points: points,
			random:  rand.New(rand.NewPCG(o.seed, uint64(n))), //nolint:gosec // repeatable on purpose
			crashes: min(crashesPerRun, o.crashes-done),
		}
		v, err := r.do(ctx)
		if err != nil {
			return fmt.Errorf("run %d of seed %d: %w; its logs are in %s", n, o.seed, err, r.dir)
		}
		done += r.crashes
		verdict.Add(v)
		fmt.Printf("run %d: %d inputs: %s\n", n, v.Inputs, &v)
		for _, d := range v.Details {
			fmt.Println("  ", d)
		}
		if !v.Right() {
			fmt.Printf("logs and data are in %s\n", r.dir)
		} else if err := r.remove(); err != nil {
			return err
		}
	}
	fmt.Println()
	for _, p := range stages.CrashPoints() {
		fmt.Printf("%5d  %s\n", hits[p], p)
	}
	took := time.Since(began)
	fmt.Printf("\nseed %d, %d inputs, %s, %.1f s a crash\n", o.seed, verdict.Inputs, took.Round(time.Second), took.Seconds()/float64(done))
	fmt.Printf("%d crashes: %s\n", done, &verdict)
	if !verdict.Right() {
		return errWrong
	}
	return nil
}

// errWrong ends the program in silence: the verdict is the last line.
var errWrong = errors.New("the oracle found faults")
