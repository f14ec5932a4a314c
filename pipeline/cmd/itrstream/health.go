package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is below what container engines give a check by default.
const healthTimeout = 4 * time.Second

func healthCommand() *cobra.Command {
	var flags configFlags
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running process on this machine whether it is alive, or ready",
		Long: `Health asks the ops listener (ops.addr) of a process on this machine for
/healthz, or for /readyz with --ready, prints the answer, and fails unless it is
good. Images without a shell use it as their check.`,
		Example: `  itrstream health
  itrstream health --ready -c itrstream.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if cfg.Ops.Addr == "" {
				return errors.New("ops.addr is empty: a process with this configuration has no ops listener to ask")
			}
			host, port, err := net.SplitHostPort(cfg.Ops.Addr)
			if err != nil {
				return fmt.Errorf("ops.addr: %w", err)
			}
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			url := "http://" + net.JoinHostPort(host, port) + path
			request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, http.NoBody)
			if err != nil {
				return fmt.Errorf("ops.addr: %w", err)
			}
			// Not the default transport: a proxy of the environment has no business here.
			client := &http.Client{Timeout: healthTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
			answer, err := client.Do(request)
			if err != nil {
				return fmt.Errorf("nobody answers at ops.addr: %w", err)
			}
			defer answer.Body.Close()
			if _, err := io.Copy(cmd.OutOrStdout(), io.LimitReader(answer.Body, 64<<10)); err != nil {
				return fmt.Errorf("the answer of %s broke off: %w", url, err)
			}
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s says %s", url, answer.Status)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready, too: partitions, model, Redis")
	return cmd
}
