using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Gradus.Training.Gguf;

/// <summary>What stands before the weights of a GGUF file (version 3, little endian): metadata and tensors are told to it, then it writes them.</summary>
internal sealed class GgufWriter
{
    private const int Alignment = 32;

    private readonly ArrayBufferWriter<byte> values = new(), tensors = new();
    private long valueCount, tensorCount, offset;

    public void Add(string key, uint number)
    {
        Key(key, GgufValueType.UInt32);
        Write(values, number);
    }

    public void Add(string key, float number)
    {
        Key(key, GgufValueType.Float32);
        Write(values, number);
    }

    public void Add(string key, bool flag)
    {
        Key(key, GgufValueType.Bool);
        Write(values, flag);
    }

    public void Add(string key, string text)
    {
        Key(key, GgufValueType.Text);
        Text(values, text);
    }

    public void Add(string key, IReadOnlyCollection<string> texts)
    {
        List(key, GgufValueType.Text, texts.Count);
        foreach (var text in texts) Text(values, text);
    }

    public void Add(string key, IReadOnlyCollection<int> numbers)
    {
        List(key, GgufValueType.Int32, numbers.Count);
        foreach (var number in numbers) Write(values, number);
    }

    public void Add(string key, IReadOnlyCollection<float> numbers)
    {
        List(key, GgufValueType.Float32, numbers.Count);
        foreach (var number in numbers) Write(values, number);
    }

    /// <summary>Tensors follow the header in the order in which they are told, each padded by <see cref="Pad"/>.</summary>
    /// <param name="shape">Outermost first.</param>
    public void AddTensor(string name, GgufType type, IReadOnlyList<long> shape)
    {
        tensorCount++;
        Text(tensors, name);
        Write(tensors, shape.Count);
        foreach (var size in shape.Reverse()) Write(tensors, size);
        Write(tensors, (uint)type);
        Write(tensors, offset);
        var (numbers, bytes) = type.Block();
        offset += Padded(shape.Aggregate(1L, (product, size) => product * size) / numbers * bytes);
    }

    public void WriteHeader(Stream stream)
    {
        var start = new ArrayBufferWriter<byte>();
        start.Write("GGUF"u8);
        Write(start, 3u);
        Write(start, tensorCount);
        Write(start, valueCount);
        stream.Write(start.WrittenSpan);
        stream.Write(values.WrittenSpan);
        stream.Write(tensors.WrittenSpan);
        Pad(stream, start.WrittenCount + (long)values.WrittenCount + tensors.WrittenCount);
    }

    /// <summary>Zeros up to the next multiple of the alignment.</summary>
    public static void Pad(Stream stream, long written) => stream.Write(stackalloc byte[(int)(Padded(written) - written)]);

    private static long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;

    private static void Text(ArrayBufferWriter<byte> target, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Write(target, (ulong)bytes.Length);
        target.Write(bytes);
    }

    private static void Write<T>(ArrayBufferWriter<byte> target, T number) where T : unmanaged
    {
        MemoryMarshal.Write(target.GetSpan(Unsafe.SizeOf<T>()), in number);
        target.Advance(Unsafe.SizeOf<T>());
    }

    private void Key(string key, GgufValueType type)
    {
        valueCount++;
        Text(values, key);
        Write(values, (uint)type);
    }

    private void List(string key, GgufValueType item, int count)
    {
        Key(key, GgufValueType.List);
        Write(values, (uint)item);
        Write(values, (ulong)count);
    }
}
