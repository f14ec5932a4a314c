package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	tinyBundle = "testdata/tiny-bundle"
	miniBundle = "bundles/itr-mini"
)

func openBundle(t testing.TB, dir string) *Model {
	t.Helper()
	m, err := Open(dir, Options{Device: "cpu"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func TestWithoutMaps(t *testing.T) {
	t.Parallel()
	m, err := Open(tinyBundle, Options{Device: "cpu", NoMaps: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	whole := openBundle(t, tinyBundle)
	posts := randomPosts(m, 2, 3)
	in := posts.seen(t, m)
	want, err := whole.Encode(t.Context(), in)
	require.NoError(t, err)
	got, err := m.Encode(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = m.Explain(t.Context(), posts.images[0], "post")
	require.ErrorIs(t, err, ErrNoMaps)
}
