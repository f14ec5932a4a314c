package media

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReservations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header http.Header
		want   bool
	}{
		"nothing":              {http.Header{}, false},
		"noai":                 {http.Header{"X-Robots-Tag": {"noai"}}, true},
		"among others":         {http.Header{"X-Robots-Tag": {"noindex, NoImageAI"}}, true},
		"for one robot":        {http.Header{"X-Robots-Tag": {"somebot: noai, noarchive"}}, true},
		"in the second line":   {http.Header{"X-Robots-Tag": {"noarchive", "noimageai"}}, true},
		"other directives":     {http.Header{"X-Robots-Tag": {"noindex, nofollow, unavailable_after: 2026-01-01"}}, false},
		"not quite":            {http.Header{"X-Robots-Tag": {"noairplay"}}, false},
		"TDM reserved":         {http.Header{"Tdm-Reservation": {" 1"}}, true},
		"TDM not reserved":     {http.Header{"Tdm-Reservation": {"0"}}, false},
		"TDM, some other word": {http.Header{"Tdm-Reservation": {"yes"}}, false},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for key, values := range c.header {
				w.Header()[key] = values
			}
			_, _ = w.Write([]byte("bytes"))
		})
		im, err := testClient(t, noDNS(t), nil, s).Fetch(t.Context(), s.URL)
		require.NoError(t, err)
		require.Equal(t, "bytes", string(im.Data))
		require.Equal(t, c.want, im.Reserved, name)
	}
}
