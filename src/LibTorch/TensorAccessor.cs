using System.Collections;

namespace TorchSharp.Utils;

/// <summary>The elements of a CPU tensor or view in row-major order. It reads and writes the tensor's own memory.</summary>
public sealed unsafe class TensorAccessor<T> : IDisposable, IEnumerable<T> where T : unmanaged
{
    private readonly torch.Tensor _tensor;
    private readonly T* _data;
    private readonly long[] _shape, _strides;
    private readonly bool _contiguous;

    internal TensorAccessor(torch.Tensor tensor)
    {
        if (tensor.device_type != DeviceType.CPU) throw new InvalidOperationException("Reading data from non-CPU memory is not supported. Move or copy the tensor to the cpu before reading.");
        _tensor = tensor;
        _shape = tensor.shape;
        _strides = tensor.stride();
        _contiguous = tensor.is_contiguous();
        _data = (T*)tensor.DataPointer();
        Count = 1;
        foreach (long n in _shape) Count *= n;
    }

    public long Count { get; }
    public bool IsReadOnly => false;

    public T this[params long[] indices]
    {
        get => *At(indices);
        set => *At(indices) = value;
    }

    public T[] ToArray()
    {
        var result = new T[Count];
        if (Count > 0) CopyTo(result.AsSpan());
        return result;
    }

    public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyTo(array.AsSpan(), arrayIndex, tensorIndex);

    /// <summary>Copies until either side ends.</summary>
    public void CopyTo(Span<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        _ = _tensor.Handle;
        int n = Length(array.Length - arrayIndex, tensorIndex);
        if (_contiguous) new Span<T>(_data + tensorIndex, n).CopyTo(array[arrayIndex..]);
        else for (int k = 0; k < n; k++) array[arrayIndex + k] = _data[Offset(tensorIndex + k)];
        GC.KeepAlive(_tensor);
    }

    public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyFrom((ReadOnlySpan<T>)array, arrayIndex, tensorIndex);

    /// <summary>Copies until either side ends.</summary>
    public void CopyFrom(ReadOnlySpan<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        _ = _tensor.Handle;
        int n = Length(array.Length - arrayIndex, tensorIndex);
        if (_contiguous) array.Slice(arrayIndex, n).CopyTo(new Span<T>(_data + tensorIndex, n));
        else for (int k = 0; k < n; k++) _data[Offset(tensorIndex + k)] = array[arrayIndex + k];
        GC.KeepAlive(_tensor);
    }

    public IEnumerator<T> GetEnumerator()
    {
        for (long k = 0; k < Count; k++) yield return Read(k);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose() { }

    private T Read(long index)
    {
        _ = _tensor.Handle;
        T value = _data[Offset(index)];
        GC.KeepAlive(_tensor);
        return value;
    }

    private T* At(long[] indices)
    {
        _ = _tensor.Handle;
        if (indices.Length == 1)
        {
            if (indices[0] < 0 || indices[0] >= Count) throw new IndexOutOfRangeException();
            return _data + Offset(indices[0]);
        }
        long offset = 0;
        for (int d = 0; d < _shape.Length; d++)
        {
            if (indices[d] < 0 || indices[d] >= _shape[d]) throw new IndexOutOfRangeException($"{indices[d]} >= {_shape[d]} in dimension {d}.");
            offset += indices[d] * _strides[d];
        }
        return _data + offset;
    }

    private int Length(int room, long tensorIndex)
    {
        if (tensorIndex < 0 || tensorIndex >= Count) throw new ArgumentOutOfRangeException(nameof(tensorIndex));
        return (int)Math.Min(room, Count - tensorIndex);
    }

    private long Offset(long index)
    {
        if (_contiguous) return index;
        long offset = 0;
        for (int d = _shape.Length - 1; d >= 0; d--)
        {
            (index, long place) = Math.DivRem(index, _shape[d]);
            offset += place * _strides[d];
        }
        return offset;
    }
}
