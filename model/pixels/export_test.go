package pixels

// DecodeUnguarded is Decode without the net under it, so that the fuzzer sees panics.
func DecodeUnguarded(data []byte, l Limits) (*Image, error) {
	for _, f := range formats {
		if f.magic(data) {
			return f.decode(data, l, true)
		}
	}
	return nil, ErrFormat
}

// Guard is guard.
var Guard = guard
