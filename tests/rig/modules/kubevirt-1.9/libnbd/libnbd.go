// Package libnbd fails at once. virt-launcher opens a connection with the real one when a backup of a disk is taken.
package libnbd

import "errors"

const (
	CONTEXT_BASE_ALLOCATION   = "base:allocation"
	CONTEXT_QEMU_DIRTY_BITMAP = "qemu:dirty-bitmap:"
)

// The flags of an extent; the first one has another meaning in each context.
const (
	STATE_HOLE  = 1
	STATE_ZERO  = 2
	STATE_DIRTY = 1
)

type (
	Libnbd               struct{}
	LibnbdExtent         struct{ Length, Flags uint64 }
	ExtentCallback       func(context string, offset uint64, extents []LibnbdExtent, failed *int) int
	BlockStatus64Optargs struct{}
	PreadOptargs         struct{}
)

var errAbsent = errors.New("this build has no libnbd")

func Create() (*Libnbd, error) { return nil, errAbsent }

func (*Libnbd) AddMetaContext(name string) error         { return errAbsent }
func (*Libnbd) CanMetaContext(name string) (bool, error) { return false, errAbsent }
func (*Libnbd) SetExportName(name string) error          { return errAbsent }
func (*Libnbd) ConnectUnix(path string) error            { return errAbsent }
func (*Libnbd) GetSize() (uint64, error)                 { return 0, errAbsent }
func (*Libnbd) Close() error                             { return nil }

func (*Libnbd) Pread(buffer []byte, offset uint64, optional *PreadOptargs) error { return errAbsent }

func (*Libnbd) BlockStatus64(length, offset uint64, each ExtentCallback, optional *BlockStatus64Optargs) error {
	return errAbsent
}
