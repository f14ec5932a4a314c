package main

import (
	"fmt"
	"net"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
)

// brokerCommand is an embedded broker as a process of its own, which may be
// killed. It says that it listens on one address, a proxy's, and does on
// another.
func brokerCommand() *cobra.Command {
	var dir, listen, advertise string
	cmd := &cobra.Command{
		Use:    "broker",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			public, err := net.ResolveTCPAddr("tcp", advertise)
			if err != nil {
				return err
			}
			cluster, err := kfake.NewCluster(
				kfake.NumBrokers(1), kfake.ClusterID("crash"), kfake.DataDir(dir), kfake.GroupMinSessionTimeout(0),
				kfake.BrokerConfigs(map[string]string{"message.max.bytes": "16777216"}),
				kfake.ListenFn(func(network, _ string) (net.Listener, error) {
					l, err := net.Listen(network, listen) //nolint:noctx // kfake has none to give
					if err != nil {
						return nil, err
					}
					return proxied{l, public}, nil
				}))
			if err != nil {
				return fmt.Errorf("start the broker: %w", err)
			}
			defer cluster.Close()
			<-ctx.Done()
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "data folder")
	cmd.Flags().StringVar(&listen, "listen", "", "host:port")
	cmd.Flags().StringVar(&advertise, "advertise", "", "host:port that clients are told")
	return cmd
}

// proxied is a listener that is reached under another address.
type proxied struct {
	net.Listener
	public net.Addr
}

// Addr returns the other address.
func (p proxied) Addr() net.Addr { return p.public }
