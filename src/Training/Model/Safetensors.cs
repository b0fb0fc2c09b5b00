using System.IO.MemoryMappedFiles;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Gradus.Training.Model;

/// <summary>
/// Weights in safetensors files, one or several (an index.json says which tensor is where), mapped into memory: only what is read costs memory.
/// fp16 and bf16 become fp32 when read, as the trainer's master weights are fp32.
/// </summary>
public sealed unsafe class Safetensors : IDisposable
{
    /// <summary>Elements copied at a time: a span holds at most 2 GiB.</summary>
    private const long Slice = 1L << 26;

    private readonly List<Mapped> files = [];
    private readonly Dictionary<string, (Mapped File, SafetensorsEntry Entry)> tensors = [];
    private readonly string path;

    private Safetensors(string path) => this.path = path;

    /// <summary>Names of all tensors, sorted.</summary>
    public IReadOnlyList<string> Names => [.. tensors.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Opens a file, or a folder's <c>model.safetensors</c> or <c>model.safetensors.index.json</c> with all its shards.</summary>
    /// <exception cref="InvalidInputException">A file is missing, truncated, or its header lies; the message says how.</exception>
    public static Safetensors Open(string path)
    {
        var opened = new Safetensors(path);
        try
        {
            if (Directory.Exists(path)) opened.AddFolder(path);
            else opened.Add(path);
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    public bool Contains(string name) => tensors.ContainsKey(name);

    /// <summary>The shape of a tensor.</summary>
    public long[] Shape(string name) => Find(name).Entry.Shape;

    /// <summary>The format's word for how a tensor is stored: F32, F16, BF16, I64, ...</summary>
    public string TypeOf(string name) => Find(name).Entry.Type;

    /// <summary>A tensor of its own: fp32 for floats, int64 for I64.</summary>
    public Tensor Read(string name)
    {
        var (_, entry) = Find(name);
        var tensor = empty(entry.Shape, entry.Type == "I64" ? ScalarType.Int64 : ScalarType.Float32);
        CopyTo(name, tensor);
        return tensor;
    }

    /// <summary>Refuses a tensor that is missing or has another shape, before memory is taken for it.</summary>
    /// <exception cref="InvalidInputException">It is.</exception>
    public void Expect(string name, ReadOnlySpan<long> shape)
    {
        var (file, entry) = Find(name);
        if (entry.Shape.AsSpan().SequenceEqual(shape)) return;
        throw SafetensorsHeader.Wrong(file.Name, $"tensor '{name}' must have the shape [{string.Join(", ", shape.ToArray())}], not [{string.Join(", ", entry.Shape)}]");
    }

    /// <summary>The same for a weight, whose type has to be one that is computed with.</summary>
    /// <exception cref="InvalidInputException">It is missing, or has another shape or type.</exception>
    public void Require(string name, ReadOnlySpan<long> shape)
    {
        Expect(name, shape);
        var (file, entry) = Find(name);
        if (entry.Type is not ("F32" or "F16" or "BF16")) throw OtherType(file.Name, name, entry.Type);
    }

    /// <summary>Fills a contiguous tensor on the CPU: fp32 from F32, F16 or BF16; int64 from I64.</summary>
    /// <exception cref="InvalidInputException">The tensor is missing, has another shape, or a type that is not supported.</exception>
    public void CopyTo(string name, Tensor destination)
    {
        Expect(name, destination.shape);
        var (file, entry) = Find(name);
        if (entry.Length == 0) return;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var flat = destination.view(-1);
        for (long start = 0, count = flat.numel(); start < count; start += Slice)
        {
            var length = Math.Min(Slice, count - start);
            Convert(file.Start + entry.Offset, entry.Type, start, flat.narrow(0, start, length).bytes, name, file.Name);
        }
    }

    /// <summary>Some of a tensor's numbers as fp32, from number <paramref name="first"/> on.</summary>
    /// <exception cref="InvalidInputException">The tensor is missing, ends before, or has a type that is not supported.</exception>
    public void Read(string name, long first, Span<float> destination)
    {
        var (file, entry) = Find(name);
        var count = entry.Shape.Aggregate(1L, (product, size) => product * size);
        if (first < 0 || first > count - destination.Length || entry.Type == "I64") throw SafetensorsHeader.Wrong(file.Name, $"tensor '{name}' of type {entry.Type} and {count} numbers has no {destination.Length} floats from {first} on");
        Convert(file.Start + entry.Offset, entry.Type, first, MemoryMarshal.AsBytes(destination), name, file.Name);
    }

    /// <summary>Writes fp32 (or int64) tensors to a stream, in the order given; header padded to eight bytes, metadata <c>format: pt</c>.</summary>
    public static void Write(Stream stream, IEnumerable<KeyValuePair<string, Tensor>> tensors) => SafetensorsWriter.Write(stream, [.. tensors]);

    /// <summary>The same to a file, which must not be open elsewhere.</summary>
    public static void Write(string file, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        using var stream = File.Create(file);
        Write(stream, tensors);
    }

    /// <summary>Writes a tensor's numbers to a stream: as they are stored, or as another float, the nearest, ties to even.</summary>
    /// <param name="type">The format's word.</param>
    /// <exception cref="InvalidInputException">A number is beyond the other float's range.</exception>
    internal void Write(string name, Stream stream, string type)
    {
        var (file, entry) = Find(name);
        var from = file.Start + entry.Offset;
        for (long start = 0; type == entry.Type && start < entry.Length; start += Slice) stream.Write(new ReadOnlySpan<byte>(from + start, (int)Math.Min(Slice, entry.Length - start)));
        if (type == entry.Type) return;
        var (singles, bytes) = (new float[1 << 16], new byte[4 << 16]);
        var count = entry.Shape.Aggregate(1L, (product, size) => product * size);
        for (long start = 0; start < count; start += singles.Length)
        {
            var part = singles.AsSpan(0, (int)Math.Min(singles.Length, count - start));
            Convert(from, entry.Type, start, MemoryMarshal.AsBytes(part), name, file.Name);
            stream.Write(bytes.AsSpan(0, FloatBytes.Write(part, type, bytes, name)));
        }
    }

    public void Dispose()
    {
        foreach (var file in files) file.Dispose();
        files.Clear();
        tensors.Clear();
    }

    private static void Convert(byte* data, string type, long start, Span<byte> destination, string name, string file)
    {
        switch (type)
        {
            case "F32":
                new ReadOnlySpan<byte>(data + 4 * start, destination.Length).CopyTo(destination);
                break;
            case "I64":
                new ReadOnlySpan<byte>(data + 8 * start, destination.Length).CopyTo(destination);
                break;
            case "F16":
                var singles = MemoryMarshal.Cast<byte, float>(destination);
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(data + 2 * start, singles.Length), singles);
                break;
            case "BF16":
                var words = MemoryMarshal.Cast<byte, uint>(destination);
                FromBrain(new ReadOnlySpan<ushort>(data + 2 * start, words.Length), words);
                break;
            default:
                throw OtherType(file, name, type);
        }
    }

    /// <summary>bf16 is the upper half of fp32.</summary>
    private static void FromBrain(ReadOnlySpan<ushort> source, Span<uint> destination)
    {
        var i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(source[i..]), out var low, out var high);
            (low << 16).CopyTo(destination[i..]);
            (high << 16).CopyTo(destination[(i + Vector<uint>.Count)..]);
        }
        for (; i < source.Length; i++) destination[i] = (uint)source[i] << 16;
    }

    private void AddFolder(string folder)
    {
        var single = Path.Combine(folder, "model.safetensors");
        if (File.Exists(single))
        {
            Add(single);
            return;
        }

        if (!File.Exists(Path.Combine(folder, SafetensorsIndex.Name))) throw new InvalidInputException($"There is neither model.safetensors nor {SafetensorsIndex.Name} in {folder}.", "model.safetensors", "missing");
        var map = SafetensorsIndex.Read(folder);
        foreach (var file in map.Values.Distinct().Order(StringComparer.Ordinal)) Add(Path.Combine(folder, file));
        foreach (var (name, file) in map)
        {
            if (!tensors.TryGetValue(name, out var found) || Path.GetFileName(found.File.Name) != file)
                throw new InvalidInputException($"{SafetensorsIndex.Name} says that tensor '{name}' is in {file}, where it is not.", SafetensorsIndex.Name);
        }
    }

    private void Add(string file)
    {
        var mapped = new Mapped(file);
        files.Add(mapped);
        foreach (var (name, entry) in mapped.Entries)
        {
            if (!tensors.TryAdd(name, (mapped, entry))) throw SafetensorsHeader.Wrong(file, $"tensor '{name}' stands in another shard, too");
            if (tensors.Count > SafetensorsHeader.MostTensors) throw SafetensorsHeader.Wrong(file, $"with it the model has more than {SafetensorsHeader.MostTensors} tensors");
        }
    }

    private static InvalidInputException OtherType(string file, string name, string type) =>
        SafetensorsHeader.Wrong(file, $"tensor '{name}' has the type {type}; supported are F32, F16 and BF16");

    private (Mapped File, SafetensorsEntry Entry) Find(string name) =>
        tensors.TryGetValue(name, out var found) ? found : throw new InvalidInputException($"{Path.GetFileName(path)} has no tensor '{name}'.", name, "missing");

    /// <summary>One file, mapped and checked.</summary>
    private sealed class Mapped : IDisposable
    {
        private readonly MemoryMappedFile? map;
        private readonly MemoryMappedViewAccessor? view;

        public Mapped(string file)
        {
            Name = file;
            var length = ModelFile.Length(file, long.MaxValue);
            if (length < 8) throw SafetensorsHeader.Wrong(file, $"it has {length} bytes, too few for a header");
            try
            {
                map = MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
                view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            }
            catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
            {
                Dispose();
                throw SafetensorsHeader.Wrong(file, $"it cannot be read ({problem.Message})");
            }

            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            Start = start;
            try
            {
                var header = SafetensorsHeader.Length(new ReadOnlySpan<byte>(start, 8), length, file);
                Entries = SafetensorsHeader.Parse(new ReadOnlySpan<byte>(start + 8, header), length, file);
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public string Name { get; }

        public byte* Start { get; private set; }

        public Dictionary<string, SafetensorsEntry> Entries { get; } = [];

        public void Dispose()
        {
            if (Start != null) view!.SafeMemoryMappedViewHandle.ReleasePointer();
            Start = null;
            view?.Dispose();
            map?.Dispose();
        }
    }
}
