package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// LibsVariable names the environment variable with the folder of jars.
const LibsVariable = "ITRSTREAM_KAFKA_LIBS"

const (
	clusterID  = "aXRyc3RyZWFtLXRlc3RzMQ" // 16 bytes in URL-safe base64, as Kafka wants it
	startLimit = 3 * time.Minute
	// attempts covers another process taking a port between our choice and
	// the broker's bind.
	attempts = 3
)

// Options say what the broker offers beside its plain listener.
type Options struct {
	// Secure adds a listener with TLS and SASL (PLAIN, SCRAM-SHA-256,
	// SCRAM-SHA-512) for Username and Password, and one with mutual TLS.
	Secure bool
	// Properties are added to server.properties, as name and value.
	Properties [][2]string
}

// Broker is a running Apache Kafka.
type Broker struct {
	// Secure tells how to reach the secure listeners; nil without Options.Secure.
	Secure *Secure

	tb     testing.TB
	libs   string
	dir    string
	ports  []int
	cmd    *exec.Cmd // nil when it does not run
	exited chan struct{}
}

// Start starts a broker, waits until it answers, and ends it with the test.
// Under -short it skips the test; without LibsVariable it fails it.
func Start(tb testing.TB, opts Options) *Broker {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("starts a real Kafka: not under -short")
	}
	libs := os.Getenv(LibsVariable)
	if jars, err := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); libs == "" || err != nil || len(jars) == 0 {
		tb.Fatalf("%s=%q: must name a folder with Apache Kafka's jars; the package documentation has the command that fills one", LibsVariable, libs)
	}
	b := &Broker{tb: tb, libs: libs, dir: tb.TempDir()}
	tb.Cleanup(b.Kill)
	var err error
	for range attempts {
		if err = b.configure(opts); err == nil {
			err = b.run()
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		tb.Fatalf("starting Apache Kafka: %v", err)
	}
	return b
}

// Addrs returns the host:port of the plain listener.
func (b *Broker) Addrs() []string { return []string{address(b.ports[0])} }

// Kill ends the broker at once, as kill -9 does. It may be called again.
func (b *Broker) Kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill() // it may have ended by itself
	<-b.exited
	b.cmd = nil
}

// Restart kills the broker and starts it again, on the same ports and data.
// It returns when the broker answers.
func (b *Broker) Restart() {
	b.tb.Helper()
	b.Kill()
	if err := b.run(); err != nil {
		b.tb.Fatalf("restarting Apache Kafka: %v", err)
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (b *Broker) propertiesFile() string { return filepath.Join(b.dir, "server.properties") }

func (b *Broker) configure(opts Options) error {
	var err error
	if b.ports, err = freePorts(4); err != nil {
		return err
	}
	listeners := []string{"PLAINTEXT://" + address(b.ports[0]), "CONTROLLER://" + address(b.ports[1])}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	data := filepath.Join(b.dir, fmt.Sprintf("data-%d", b.ports[0]))
	properties := [][2]string{
		{"process.roles", "broker,controller"},
		{"node.id", "1"},
		{"controller.quorum.voters", "1@" + address(b.ports[1])},
		{"controller.listener.names", "CONTROLLER"},
		{"inter.broker.listener.name", "PLAINTEXT"},
		{"log.dirs", data},
		{"num.partitions", "1"},
		{"auto.create.topics.enable", "false"},
		{"default.replication.factor", "1"},
		{"offsets.topic.replication.factor", "1"},
		{"offsets.topic.num.partitions", "4"}, // of 50 by default: a broker is ready, and back, sooner
		{"transaction.state.log.replication.factor", "1"},
		{"transaction.state.log.min.isr", "1"},
		{"transaction.state.log.num.partitions", "4"},
		{"share.coordinator.state.topic.replication.factor", "1"},
		{"share.coordinator.state.topic.min.isr", "1"},
		{"group.initial.rebalance.delay.ms", "0"},
		{"group.min.session.timeout.ms", "1000"},
		{"broker.session.timeout.ms", "3000"}, // a broker that was killed is let in again after this
		{"broker.heartbeat.interval.ms", "500"},
		{"message.max.bytes", "16777216"},
		{"replica.fetch.max.bytes", "16777216"},
	}
	format := []string{"-t", clusterID, "-c", b.propertiesFile()}
	if opts.Secure {
		b.Secure = &Secure{SASLAddr: address(b.ports[2]), MutualAddr: address(b.ports[3])}
		if b.Secure.Certificates, err = NewCertificates(b.dir); err != nil {
			return err
		}
		listeners = append(listeners, "SASL://"+b.Secure.SASLAddr, "MUTUAL://"+b.Secure.MutualAddr)
		protocols = append(protocols, "SASL:SASL_SSL", "MUTUAL:SSL")
		properties = append(properties, b.Secure.properties()...)
		for _, m := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			format = append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", m, Username, Password))
		}
	}
	properties = append(properties,
		[2]string{"listeners", strings.Join(listeners, ",")},
		[2]string{"listener.security.protocol.map", strings.Join(protocols, ",")})
	properties = append(properties, opts.Properties...)
	var text bytes.Buffer
	for _, p := range properties {
		fmt.Fprintf(&text, "%s=%s\n", p[0], strings.ReplaceAll(p[1], "\\", "\\\\"))
	}
	if err := os.WriteFile(b.propertiesFile(), text.Bytes(), 0o600); err != nil {
		return err
	}
	if out, err := b.java("kafka.tools.StorageTool", append([]string{"format"}, format...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting the log directory: %w\n%s", err, out)
	}
	return nil
}

func (b *Broker) java(class string, args ...string) *exec.Cmd {
	// The cheap compiler and collector: a test's broker does not live long
	// enough to earn back what the others cost at its start.
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	args = append([]string{"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(b.libs, "*"), class}, args...)
	cmd := exec.Command(java, args...)
	dieWithParent(cmd)
	return cmd
}

var errPortTaken = errors.New("a port was taken by somebody else")

// run starts the process and waits for an answer.
func (b *Broker) run() error {
	var out output
	cmd := b.java("kafka.Kafka", b.propertiesFile())
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // reports the signal that we sent
	}()
	b.cmd, b.exited = cmd, exited

	deadline := time.Now().Add(startLimit)
	for {
		err := answers(b.Addrs()[0])
		if err == nil {
			return nil
		}
		select {
		case <-exited:
		case <-time.After(50 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		b.Kill()
		if strings.Contains(out.String(), "Address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("no answer on %s within %s: %w\n%s", b.Addrs()[0], startLimit, err, out.String())
	}
}

// output keeps what the broker prints first; the reason of a failed start is
// there.
type output struct {
	mu sync.Mutex
	b  []byte
}

const outputLimit = 64 << 10

// Write keeps p while there is room.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b = append(o.b, p[:min(len(p), outputLimit-len(o.b))]...)
	return len(p), nil
}

// String returns what was kept.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b)
}

// answers asks the broker for its metadata: an open port alone comes early.
func answers(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := kafkago.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	brokers, err := conn.Brokers()
	if err == nil && len(brokers) == 0 {
		return errors.New("the broker has not registered yet")
	}
	return err
}

// freePorts returns n loopback ports that nobody listens on at the moment.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // held until all are chosen, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
