using System.Numerics;

namespace Gradus.Training.Gguf;

/// <summary>Where one tensor lies in a GGUF file.</summary>
/// <param name="Shape">Outermost first, as Hugging Face has it (the file says it the other way round); one to four sizes of at least 1.</param>
/// <param name="Offset">First byte, from the start of the file.</param>
/// <param name="Length">In bytes.</param>
public sealed record GgufTensor(string Name, GgufType Type, IReadOnlyList<long> Shape, long Offset, long Length)
{
    /// <summary>Numbers in a row, always whole blocks.</summary>
    public long RowLength => Shape[^1];

    public long Rows => Elements / RowLength;

    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>
/// Reads and checks what stands before the weights of a GGUF file, versions 2 and 3 in little endian (the format: ggml's docs/gguf.md). A file that others
/// made is not trusted: counts, lengths, types and offsets are checked here, so that whoever reads a tensor need not.
/// </summary>
internal sealed record GgufHeader(int Version, Dictionary<string, GgufValue> Values, Dictionary<string, GgufTensor> Tensors)
{
    private const int MostValues = 65_536, MostTensors = 65_536, LongestKey = 65_535, LongestTensorName = 64, MostItems = 4 << 20, LargestAlignment = 65_536;

    public static InvalidInputException Wrong(string file, string what) => new($"{Path.GetFileName(file)} is refused: {what}.", Path.GetFileName(file));

    public static GgufHeader Parse(ReadOnlySpan<byte> start, long fileLength, string file)
    {
        var cursor = new GgufCursor(start, fileLength, file);
        if (!cursor.Take(4, "the mark 'GGUF'").SequenceEqual("GGUF"u8)) throw Wrong(file, "it does not begin with 'GGUF'");
        var version = cursor.UInt32("the version");
        if (version is not (2 or 3))
        {
            throw Wrong(file, version is > 0 and < 0x10000 ? $"it has version {version} of the format; supported: 2, 3" : (version & 0xFFFF) == 0 && version != 0
                ? "it is written in big endian; supported: little endian" : $"it has version {version} of the format; supported: 2, 3");
        }
        var tensorCount = cursor.Count(MostTensors, "the number of tensors");
        var valueCount = cursor.Count(MostValues, "the number of metadata values");
        var values = new Dictionary<string, GgufValue>(StringComparer.Ordinal);
        for (var i = 0; i < valueCount; i++)
        {
            var key = cursor.Text(LongestKey, $"metadata key {i}");
            if (!values.TryAdd(key, Value(ref cursor, key, file))) throw Wrong(file, $"metadata '{key}' stands in it twice");
        }
        var infos = new List<(string Name, GgufType Type, long[] Shape, ulong Offset)>();
        for (var i = 0; i < tensorCount; i++) infos.Add(Info(ref cursor, i, file));
        var alignment = Alignment(start, values, file);
        var weights = (cursor.Position + (long)alignment - 1) / alignment * alignment;
        var tensors = new Dictionary<string, GgufTensor>(StringComparer.Ordinal);
        foreach (var (name, type, shape, offset) in infos)
        {
            var tensor = Place(name, type, shape, offset, alignment, weights, fileLength, file);
            if (!tensors.TryAdd(name, tensor)) throw Wrong(file, $"tensor '{name}' stands in it twice");
        }
        CheckOverlap(tensors.Values, file);
        return new GgufHeader((int)version, values, tensors);
    }

    private static GgufValue Value(ref GgufCursor cursor, string key, string file)
    {
        var type = Type(ref cursor, key, file);
        if (type != GgufValueType.List)
        {
            var at = cursor.Position;
            Skip(ref cursor, type, key, file);
            return new GgufValue(type, at, cursor.Position - at, -1);
        }
        var item = Type(ref cursor, key, file);
        if (item == GgufValueType.List) throw Wrong(file, $"metadata '{key}' is a list of lists, which is not supported");
        var count = cursor.Count(MostItems, $"the number of items of metadata '{key}'");
        var first = cursor.Position;
        if (GgufValue.Width(item) is > 0 and var width && item != GgufValueType.Bool) cursor.Take(count * width, $"metadata '{key}'");
        else for (var i = 0; i < count; i++) Skip(ref cursor, item, key, file);
        return new GgufValue(item, first, cursor.Position - first, count);
    }

    private static GgufValueType Type(ref GgufCursor cursor, string key, string file)
    {
        var type = (GgufValueType)cursor.UInt32($"the type of metadata '{key}'");
        return Enum.IsDefined(type) ? type : throw Wrong(file, $"metadata '{key}' has the unknown type {(uint)type}");
    }

    private static void Skip(ref GgufCursor cursor, GgufValueType type, string key, string file)
    {
        if (type == GgufValueType.Text) cursor.TextBytes(GgufCursor.LongestText, $"metadata '{key}'");
        else if (cursor.Take(GgufValue.Width(type), $"metadata '{key}'") is [> 1, ..] && type == GgufValueType.Bool) throw Wrong(file, $"metadata '{key}' must be 0 or 1");
    }

    private static (string Name, GgufType Type, long[] Shape, ulong Offset) Info(ref GgufCursor cursor, int index, string file)
    {
        var name = cursor.Text(LongestTensorName, $"the name of tensor {index}");
        var sizes = cursor.UInt32($"the number of sizes of tensor '{name}'");
        if (sizes is 0 or > 4) throw Wrong(file, $"tensor '{name}' has {sizes} sizes; allowed are 1 to 4");
        var shape = new long[sizes];
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            shape[i] = cursor.Count(long.MaxValue, $"a size of tensor '{name}'");
            if (shape[i] == 0) throw Wrong(file, $"tensor '{name}' has a size of 0");
        }
        var type = cursor.UInt32($"the type of tensor '{name}'");
        if (!Enum.IsDefined((GgufType)type)) throw Wrong(file, $"tensor '{name}' has the type {GgufTypes.Name(type)}; supported: {string.Join(", ", Enum.GetNames<GgufType>())}");
        return (name, (GgufType)type, shape, cursor.UInt64($"the offset of tensor '{name}'"));
    }

    private static int Alignment(ReadOnlySpan<byte> start, Dictionary<string, GgufValue> values, string file)
    {
        if (!values.TryGetValue("general.alignment", out var value)) return 32;
        if (value.IsList || value.Type != GgufValueType.UInt32) throw Wrong(file, "general.alignment must be a UInt32");
        var alignment = BitConverter.ToUInt32(start.Slice(value.Offset, 4));
        if (alignment is < 8 or > LargestAlignment || !BitOperations.IsPow2(alignment)) throw Wrong(file, $"general.alignment must be a power of two from 8 to {LargestAlignment}, not {alignment}");
        return (int)alignment;
    }

    private static GgufTensor Place(string name, GgufType type, long[] shape, ulong offset, int alignment, long weights, long fileLength, string file)
    {
        var (numbers, bytes) = type.Block();
        if (shape[^1] % numbers != 0) throw Wrong(file, $"tensor '{name}' of type {type} has rows of {shape[^1]} numbers; they must be a multiple of {numbers}");
        long length = bytes;
        try
        {
            checked
            {
                length *= shape[^1] / numbers;
                foreach (var size in shape[..^1]) length *= size;
            }
        }
        catch (OverflowException)
        {
            throw Wrong(file, $"tensor '{name}' has a shape whose product overflows: [{string.Join(", ", shape)}]");
        }
        if (offset % (ulong)alignment != 0) throw Wrong(file, $"tensor '{name}' begins at {offset}, which is no multiple of the alignment {alignment}");
        if (weights > fileLength || offset > (ulong)(fileLength - weights) || length > fileLength - weights - (long)offset)
        {
            throw Wrong(file, $"tensor '{name}' of {length} bytes at {offset} reaches beyond the file's {Math.Max(0, fileLength - weights)} bytes of weights: the file is cut short or its header lies");
        }
        return new GgufTensor(name, type, shape, weights + (long)offset, length);
    }

    private static void CheckOverlap(IEnumerable<GgufTensor> tensors, string file)
    {
        long end = 0;
        foreach (var tensor in tensors.OrderBy(tensor => tensor.Offset))
        {
            if (tensor.Offset < end) throw Wrong(file, $"tensor '{tensor.Name}' overlaps the one before it");
            end = tensor.Offset + tensor.Length;
        }
    }
}
