// Command itrstream labels how image and text of social media posts relate,
// from Kafka to Kafka.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// interrupted is the exit status of a command that Ctrl-C kept from its end.
const interrupted = 130

// group makes a command that only holds others say so when it is given
// something else.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return cmd.Help()
	}
	return cmd
}

// run is main without the process: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := stopOnSignal(ctx, cancel, stderr)
	defer stop()

	root := &cobra.Command{
		Use:   "itrstream",
		Short: "Label how image and text of posts relate, live, from Kafka to Kafka",
		Long: `itrstream reads social media posts from Kafka, decides for each pair of image
and text how they relate (neither, image_adds, text_represented, both), groups
the pairs into clusters as they arrive, and writes the results to Kafka.`,
		Example: `  itrstream demo                       see it work, with everything embedded
  itrstream run -c itrstream.yaml      run it against your Kafka and Redis
  itrstream validate -c itrstream.yaml check a configuration`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(runCommand(), demoCommand(), validateCommand(), topicsCommand(), redriveCommand(), centroidsCommand(), collectCommand(), datasetCommand(), takedownCommand(), healthCommand(), modelCommand(), versionCommand())
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "itrstream: interrupted")
		return interrupted
	}
	fmt.Fprintf(stderr, "itrstream: %v\n", err)
	return 1
}

// stopOnSignal cancels at the first Ctrl-C or SIGTERM, which drains, and
// exits at the second.
func stopOnSignal(ctx context.Context, cancel context.CancelFunc, stderr io.Writer) func() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		fmt.Fprintln(stderr, "itrstream: finishing what is in flight; once more to stop at once")
		cancel()
		<-signals
		os.Exit(interrupted)
	}()
	return func() { signal.Stop(signals) }
}
