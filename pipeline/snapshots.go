package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages/cluster"
)

// snapshots writes files with everything that Redis holds, now and then. Every
// worker does: their files are the same one, which is replaced as a whole. A
// state that Redis has lost keeps its last file, for the state that follows
// it has another incarnation.
type snapshots struct {
	store  cluster.CentroidStore
	origin cluster.Origin
	dir    string
	last   int64 // version that the latest file holds
}

// newSnapshots makes the folder.
func newSnapshots(store cluster.CentroidStore, origin cluster.Origin, dir string) (*snapshots, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("cluster.snapshots.dir: %w", err)
	}
	return &snapshots{store: store, origin: origin, dir: dir, last: -1}, nil
}

// write takes a snapshot and writes it, unless nothing has changed since the
// last one. It returns the file's path, empty when there is nothing to write.
func (s *snapshots) write(ctx context.Context, now time.Time) (string, error) {
	snap, err := s.store.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	if snap.Incarnation == "" || snap.Version == s.last {
		return "", nil
	}
	origin := s.origin
	origin.Taken = now.UTC()
	path := filepath.Join(s.dir, snapshotName(origin, snap))
	if err := writeSnapshot(path, origin, snap); err != nil {
		return "", err
	}
	s.last = snap.Version
	return path, nil
}

func snapshotName(o cluster.Origin, s cluster.Snapshot) string {
	safe := strings.NewReplacer("/", "_", `\`, "_", ":", "_").Replace(o.Namespace)
	return fmt.Sprintf("%s-%.12s-%s.centroids", safe, o.ModelDigest, s.Incarnation)
}

// writeSnapshot replaces a file as a whole.
func writeSnapshot(path string, o cluster.Origin, s cluster.Snapshot) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".centroids-*")
	if err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	if err := errors.Join(cluster.WriteSnapshot(f, o, s), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// keepSnapshots writes one every cfg.Cluster.Snapshots.Every until ctx ends,
// and a last one then.
func (r *runner) keepSnapshots(ctx context.Context, s *snapshots) {
	tick := time.NewTicker(r.cfg.Cluster.Snapshots.Every)
	defer tick.Stop()
	for running := true; running; {
		attempt := ctx
		select {
		case <-tick.C:
		case <-ctx.Done():
			running = false
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Redis.Timeout)
			defer cancel()
			attempt = last
		}
		switch path, err := s.write(attempt, r.now()); {
		case err != nil && attempt.Err() == nil:
			r.log.WarnContext(ctx, "no snapshot of the centroids was written; the next attempt follows", "error", err)
		case path != "":
			r.log.DebugContext(ctx, "snapshot of the centroids written", "file", path)
		}
	}
}

// Centroids are the centroids of a configuration's namespace and bundle, for
// commands.
type Centroids struct {
	origin cluster.Origin
	rdb    *redis.Client
	store  cluster.CentroidStore
}

// OpenCentroids connects to the Redis of a configuration. The bundle is only
// read for its digest.
func OpenCentroids(ctx context.Context, cfg config.Config, s Settings) (*Centroids, error) {
	if cfg.Redis.Addr == "" {
		return nil, errors.New("redis.addr is empty: name the Redis that holds the centroids, as in --set redis.addr=127.0.0.1:6379")
	}
	manifest, digest, err := model.Inspect(cfg.Model.Bundle)
	if err != nil {
		return nil, err
	}
	rdb, err := redis.Dial(ctx, cfg.Redis, redis.Settings{Log: s.Log})
	if err != nil {
		return nil, err
	}
	return &Centroids{
		origin: cluster.Origin{Namespace: cfg.Namespace(), ModelDigest: digest, Dim: manifest.Head.Embedding, Taken: s.Now().UTC()},
		rdb:    rdb, store: rdb.Store(cfg.Namespace(), digest),
	}, nil
}

// Close ends the connection.
func (c *Centroids) Close() error { return c.rdb.Close() }

// Snapshot writes everything into one file, which must not exist.
func (c *Centroids) Snapshot(ctx context.Context, path string) (cluster.Snapshot, error) {
	if _, err := os.Lstat(path); err == nil {
		return cluster.Snapshot{}, fmt.Errorf("%s exists: choose another name, or remove it first", path)
	}
	snap, err := c.store.Snapshot(ctx)
	if err != nil {
		return snap, err
	}
	if snap.Incarnation == "" {
		return snap, fmt.Errorf("there are no centroids in Redis of namespace %q and bundle %.12s: check cluster.namespace (or kafka.group) and model.bundle",
			c.origin.Namespace, c.origin.ModelDigest)
	}
	return snap, writeSnapshot(path, c.origin, snap)
}

// Restore brings a file's centroids back. Without replace it fails where
// Redis holds any.
func (c *Centroids) Restore(ctx context.Context, path string, replace bool) (cluster.Snapshot, error) {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return cluster.Snapshot{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	origin, snap, err := cluster.ReadSnapshot(f)
	if err != nil {
		return snap, fmt.Errorf("%s: %w", path, err)
	}
	if origin.Namespace != c.origin.Namespace || origin.ModelDigest != c.origin.ModelDigest {
		return snap, fmt.Errorf("%s holds namespace %q and bundle %.12s, the configuration names %q and %.12s: set cluster.namespace and model.bundle to the snapshot's",
			path, origin.Namespace, origin.ModelDigest, c.origin.Namespace, c.origin.ModelDigest)
	}
	return snap, cluster.Restore(ctx, c.store, snap, replace)
}
