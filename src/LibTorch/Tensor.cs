using System.Runtime.CompilerServices;

namespace TorchSharp;

public static unsafe partial class torch
{
    /// <summary>A reference to a tensor of libtorch. Operators return new references; Dispose, or the scope that owns it, gives it back.</summary>
    public partial class Tensor : IDisposable
    {
        private static long s_count, s_peak;
        private nint _handle;
        internal DisposeScope? Scope;
        internal int Slot;

        internal Tensor(nint handle)
        {
            _handle = handle;
            long count = Interlocked.Increment(ref s_count);
            if (count > s_peak) s_peak = count;
            DisposeScope.Current?.Add(this);
        }

        ~Tensor() => Free();

        public void Dispose()
        {
            Scope?.Remove(this);
            Free();
            GC.SuppressFinalize(this);
        }

        private void Free()
        {
            nint handle = Interlocked.Exchange(ref _handle, 0);
            if (handle == 0) return;
            Interlocked.Decrement(ref s_count);
            Native.gt_free(handle);
        }

        /// <summary>References alive in this process, disposed and collected ones aside.</summary>
        public static long TotalCount => Interlocked.Read(ref s_count);
        public static long PeakCount => Interlocked.Read(ref s_peak);

        public nint Handle
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get
            {
                if (_handle == 0) ThrowDisposed();
                return _handle;
            }
        }

        private static void ThrowDisposed() => throw new ObjectDisposedException(nameof(Tensor), "Tensor invalid -- empty handle: it was disposed, by itself or with its scope.");

        public bool IsInvalid => _handle == 0;
        public string? name { get; set; }

        public Tensor MoveToOuterDisposeScope()
        {
            Scope?.MoveOut(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(DisposeScope? other)
        {
            if (Scope is null) other?.Attach(this);
            else Scope.MoveToOther(other, this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(Tensor other) => MoveToOtherDisposeScope(other.Scope);

        public Tensor DetachFromDisposeScope()
        {
            Scope?.Remove(this);
            return this;
        }

        private enum Meta { DType, Dimensions, Elements, RequiresGrad, Contiguous, Leaf, DeviceType, DeviceIndex, Offset, ElementSize, Count }

        [SkipLocalsInit]
        private long Read(Meta which)
        {
            long* meta = stackalloc long[(int)Meta.Count];
            Native.Check(Native.gt_meta(Handle, meta, null, null, 0));
            GC.KeepAlive(this);
            return meta[(int)which];
        }

        [SkipLocalsInit]
        private long[] ReadList(bool strides)
        {
            const int Room = 64;
            long* meta = stackalloc long[(int)Meta.Count];
            long* list = stackalloc long[Room];
            Native.Check(Native.gt_meta(Handle, meta, strides ? null : list, strides ? list : null, Room));
            GC.KeepAlive(this);
            return new ReadOnlySpan<long>(list, (int)Math.Min(Room, meta[(int)Meta.Dimensions])).ToArray();
        }

        public long[] shape => ReadList(false);
        public long[] size() => ReadList(false);
        public long size(int dim) => At(ReadList(false), dim);
        public long[] stride() => ReadList(true);
        public long stride(int dim) => At(ReadList(true), dim);
        private static long At(long[] list, int dim) => list[dim < 0 ? dim + list.Length : dim];
        public long dim() => Read(Meta.Dimensions);
        public long ndim => Read(Meta.Dimensions);
        public long Dimensions => Read(Meta.Dimensions);
        public long numel() => Read(Meta.Elements);
        public long NumberOfElements => Read(Meta.Elements);
        public long element_size() => Read(Meta.ElementSize);
        public long ElementSize => Read(Meta.ElementSize);
        public long storage_offset() => Read(Meta.Offset);
        public bool is_contiguous() => Read(Meta.Contiguous) != 0;
        public bool is_leaf => Read(Meta.Leaf) != 0;
        public ScalarType dtype => (ScalarType)Read(Meta.DType);
        public DeviceType device_type => (DeviceType)Read(Meta.DeviceType);
        public int device_index => (int)Read(Meta.DeviceIndex);
        public Device device => new(device_type, device_type == DeviceType.CPU ? -1 : device_index);
        public bool is_cpu() => device_type == DeviceType.CPU;
        public bool is_cuda => device_type == DeviceType.CUDA;
        public bool is_floating_point() => torch.is_floating_point(dtype);
        public bool is_integral() => torch.is_integral(dtype);

        internal void* DataPointer()
        {
            void* data;
            Native.Check(Native.gt_data(Handle, &data));
            GC.KeepAlive(this);
            return data;
        }

        /// <summary>The tensor's own memory; at most 2 GiB, contiguous, on the CPU. Valid while the tensor lives.</summary>
        public Span<byte> bytes
        {
            get
            {
                if (!is_contiguous()) throw new InvalidOperationException("Bytes() called on non-contiguous tensor.");
                long length = numel() * element_size();
                if (length > int.MaxValue) throw new ArgumentException("Span only supports up to int.MaxValue elements.");
                if (!is_cpu()) throw new InvalidOperationException("Reading data from non-CPU memory is not supported. Move or copy the tensor to the cpu before reading.");
                return new Span<byte>(DataPointer(), (int)length);
            }
            set
            {
                if (value.Length != numel() * element_size()) throw new ArgumentException("Mismatched data sizes in SetBytes().");
                value.CopyTo(bytes);
            }
        }

        /// <exception cref="ArgumentException">T is not the type of the elements.</exception>
        public Utils.TensorAccessor<T> data<T>() where T : unmanaged
        {
            var expected = dtype switch
            {
                ScalarType.Byte => typeof(byte),
                ScalarType.Int8 => typeof(sbyte),
                ScalarType.Int16 => typeof(short),
                ScalarType.Int32 => typeof(int),
                ScalarType.Int64 => typeof(long),
                ScalarType.Bool => typeof(bool),
                ScalarType.Float16 => typeof(Half),
                ScalarType.Float32 => typeof(float),
                ScalarType.Float64 => typeof(double),
                _ => null,
            };
            if (expected != typeof(T)) throw new ArgumentException($"{typeof(T).Name} is not compatible with {dtype}");
            return new Utils.TensorAccessor<T>(is_cpu() ? this : cpu());
        }

        public T item<T>() where T : unmanaged => numel() == 1 ? data<T>()[0] : throw new ArgumentException("Number of elements in the tensor must be 1");

        public Scalar ToScalar()
        {
            var (tag, bits) = Ops.item.CallScalar(this);
            return new Scalar(tag, bits);
        }

        public override bool Equals(object? obj) => obj is Tensor other && Equals(other);
        /// <summary>Same shape, same type, same elements.</summary>
        public bool Equals(Tensor target) => dtype == target.dtype && Ops.equal.CallScalar(this, target).Bits != 0;
        public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);
        public override string ToString() => IsInvalid ? "disposed" : $"[{string.Join("x", shape)}], type = {dtype}, device = {device}";
    }
}
