package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// shelf is an image store in memory.
type shelf struct {
	mu    sync.Mutex
	had   map[string]int
	mimes map[string]string
	fail  error
	stuck chan struct{} // puts wait here, whatever their context says
}

func (s *shelf) Put(_ context.Context, digest string, _ []byte, mime string) error {
	s.mu.Lock()
	fail, stuck := s.fail, s.stuck
	s.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	if fail != nil {
		return fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.had[digest]++
	s.mimes[digest] = mime
	return nil
}

func (s *shelf) set(fail error, stuck chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.stuck = fail, stuck
}

func imageOf(data string) heldImage {
	return heldImage{digest: sha256.Sum256([]byte(data)), data: []byte(data)}
}

func digestOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

func newShelf() *shelf { return &shelf{had: make(map[string]int), mimes: make(map[string]string)} }

const pngBytes = "\x89PNG\r\n\x1a\n and so on"

func TestPutsEachImageOnce(t *testing.T) {
	t.Parallel()
	store := newShelf()
	p := newPuts(store, time.Minute, time.Now, slog.New(slog.DiscardHandler))
	var list []heldImage
	for i := range 100 {
		list = append(list, imageOf(strings.Repeat("x", i%50)))
	}
	list = append(list, imageOf(pngBytes))
	stored := p.all(t.Context(), list)
	require.Len(t, stored, 51)
	require.Len(t, store.had, 51)
	for digest, times := range store.had {
		require.Equal(t, 1, times)
		require.True(t, stored[digest])
	}
	require.Equal(t, "image/png", store.mimes[digestOf(pngBytes)])
}

// A store that fails is left alone for a while; what it had taken counts.
func TestPutsLeaveAFailingStoreAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := newShelf()
		p := newPuts(store, 2*time.Second, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		store.set(errors.New("503"), nil)
		require.Empty(t, p.all(t.Context(), []heldImage{imageOf("a")}))
		require.Contains(t, log.String(), "the image store is away")
		store.set(nil, nil)
		require.Empty(t, p.all(t.Context(), []heldImage{imageOf("a")}), "it rests")
		require.Empty(t, store.had)
		time.Sleep(storePause)
		require.True(t, p.all(t.Context(), []heldImage{imageOf("a")})[digestOf("a")])
		require.Contains(t, log.String(), "the image store is back")
		require.Equal(t, 2, strings.Count(log.String(), "\n"), "once each: %s", log.String())
	})
}

// A store that neither answers nor listens is waited for as long as the
// timeout says, and never takes more than its share of goroutines.
func TestPutsEndWhateverTheStoreDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, stuck := newShelf(), make(chan struct{})
		store.set(nil, stuck)
		p := newPuts(store, 2*time.Second, time.Now, slog.New(slog.DiscardHandler))
		var list []heldImage
		for i := range 3 * putsAtOnce {
			list = append(list, imageOf(strings.Repeat("x", i)))
		}
		for range 3 {
			began := time.Now()
			require.Empty(t, p.all(t.Context(), list))
			require.Equal(t, 2*time.Second, time.Since(began))
			time.Sleep(storePause)
		}
		synctest.Wait()
		close(stuck)
		store.set(nil, nil)
		synctest.Wait()
		require.LessOrEqual(t, len(store.had), putsAtOnce)
		require.Len(t, p.all(t.Context(), list), len(list))
	})
}

func TestPutsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, stuck := newShelf(), make(chan struct{})
		store.set(nil, stuck)
		p := newPuts(store, 2*time.Second, time.Now, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		p.all(ctx, []heldImage{imageOf("a")})
		require.Equal(t, time.Second, time.Since(began))
		require.False(t, p.resting(), "that was not the store's fault")
		close(stuck)
	})
}
