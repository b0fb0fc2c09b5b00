using System.Buffers.Binary;
using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>Where one tensor lies in a safetensors file.</summary>
/// <param name="Type">The format's own word: F32, F16, BF16, I64, ...</param>
/// <param name="Offset">First byte, from the start of the file.</param>
/// <param name="Length">In bytes; equals the product of the shape times the type's width.</param>
internal sealed record SafetensorsEntry(string Type, long[] Shape, long Offset, long Length);

/// <summary>
/// Reads and checks the header of a safetensors file: eight bytes of length, JSON, then the tensors back to back. A file that others may have
/// made is not trusted: every offset is checked before a byte of weights is looked at.
/// </summary>
internal static class SafetensorsHeader
{
    /// <summary>The format's own bound.</summary>
    public const long LargestHeader = 100_000_000;

    /// <summary>Twice what DeepSeek-V3 has in all its files together.</summary>
    public const int MostTensors = 200_000;

    /// <summary>Of a tensor, in bytes.</summary>
    public const int LongestName = 1_024;

    private static readonly Dictionary<string, int> widths = new()
    {
        ["F64"] = 8, ["F32"] = 4, ["F16"] = 2, ["BF16"] = 2, ["I64"] = 8, ["I32"] = 4, ["I16"] = 2, ["I8"] = 1, ["U8"] = 1, ["BOOL"] = 1,
        ["U16"] = 2, ["U32"] = 4, ["U64"] = 8,
    };

    /// <summary>Bytes of one number of a type that the format knows.</summary>
    public static int Width(string type) => widths[type];

    /// <summary>The header's length by its first eight bytes.</summary>
    public static int Length(ReadOnlySpan<byte> start, long fileLength, string file)
    {
        if (start.Length < 8) throw Wrong(file, $"it has {fileLength} bytes, too few for a header");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (length > LargestHeader) throw Wrong(file, $"its header would be {length} bytes; at most {LargestHeader} are allowed");
        if ((long)length > fileLength - 8) throw Wrong(file, $"its header of {length} bytes reaches beyond its end ({fileLength} bytes): the file is cut short");
        return (int)length;
    }

    public static Dictionary<string, SafetensorsEntry> Parse(ReadOnlySpan<byte> json, long fileLength, string file)
    {
        var entries = new Dictionary<string, SafetensorsEntry>();
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw Wrong(file, "its header is not a JSON object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = Text(ref reader, file);
                reader.Read();
                if (name == "__metadata__") reader.Skip();
                else if (!entries.TryAdd(name, Entry(ref reader, name, 8 + json.Length, fileLength, file))) throw Wrong(file, $"tensor '{name}' stands in it twice");
                if (entries.Count > MostTensors) throw Wrong(file, $"it has more than {MostTensors} tensors");
            }
            if (reader.TokenType != JsonTokenType.EndObject) throw Wrong(file, "its header is not a JSON object of tensors");
            while (reader.Read()) { }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw Wrong(file, $"its header is not the JSON of this format: {error.Message}");
        }
        CheckOrder(entries, 8 + json.Length, fileLength, file);
        return entries;
    }

    private static SafetensorsEntry Entry(ref Utf8JsonReader reader, string name, long start, long fileLength, string file)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw Wrong(file, $"tensor '{name}' is not described by an object");
        string? type = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = Text(ref reader, file);
            reader.Read();
            if ((field == "dtype" && type is not null) || (field == "shape" && shape is not null) || (field == "data_offsets" && offsets is not null)) throw Wrong(file, $"tensor '{name}' has two fields '{field}'");
            if (field == "dtype") type = Text(ref reader, file);
            else if (field == "shape") shape = Numbers(ref reader, name, field, file);
            else if (field == "data_offsets") offsets = Numbers(ref reader, name, field, file);
            else throw Wrong(file, $"tensor '{name}' has an unknown field '{field}'");
        }
        if (type is null || shape is null || offsets is not [var from, var to]) throw Wrong(file, $"tensor '{name}' needs dtype, shape and two data_offsets");
        if (type.StartsWith("F8_", StringComparison.Ordinal)) throw Wrong(file, $"tensor '{name}' holds FP8 weights ({type}), which are not supported; convert the model to bf16 first");
        if (!widths.TryGetValue(type, out var width)) throw Wrong(file, $"tensor '{name}' has the unknown type '{type}'");
        if (to < from || to > fileLength - start) throw Wrong(file, $"tensor '{name}' lies at {from} to {to}, but {fileLength - start} bytes of weights are there: the file is cut short or its header lies");
        long bytes = width;
        try
        {
            foreach (var size in shape) bytes = checked(bytes * size);
        }
        catch (OverflowException)
        {
            throw Wrong(file, $"tensor '{name}' has a shape whose product overflows: [{string.Join(", ", shape)}]");
        }
        if (bytes != to - from) throw Wrong(file, $"tensor '{name}' of type {type} and shape [{string.Join(", ", shape)}] needs {bytes} bytes, its offsets give {to - from}");
        return new SafetensorsEntry(type, [.. shape], start + from, bytes);
    }

    private static string Text(ref Utf8JsonReader reader, string file) => reader.ValueSpan.Length <= LongestName
        ? reader.GetString()!
        : throw Wrong(file, $"its header holds a name of {reader.ValueSpan.Length} bytes; at most {LongestName} are allowed");

    private static List<long> Numbers(ref Utf8JsonReader reader, string name, string field, string file)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw Wrong(file, $"tensor '{name}': {field} is not a list");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType == JsonTokenType.Number)
        {
            if (!reader.TryGetInt64(out var number) || number < 0) throw Wrong(file, $"tensor '{name}': {field} must hold whole numbers from 0 to 2^63 - 1");
            numbers.Add(number);
            if (numbers.Count > 16) throw Wrong(file, $"tensor '{name}': {field} has more than 16 numbers");
        }
        return reader.TokenType == JsonTokenType.EndArray ? numbers : throw Wrong(file, $"tensor '{name}': {field} must hold numbers");
    }

    /// <summary>The format allows neither holes nor overlaps: each byte of weights belongs to one tensor.</summary>
    private static void CheckOrder(Dictionary<string, SafetensorsEntry> entries, long start, long fileLength, string file)
    {
        var end = start;
        foreach (var (name, entry) in entries.OrderBy(entry => entry.Value.Offset).ThenBy(entry => entry.Value.Length))
        {
            if (entry.Offset < end) throw Wrong(file, $"tensor '{name}' overlaps the one before it");
            if (entry.Offset > end) throw Wrong(file, $"there is a gap of {entry.Offset - end} bytes before tensor '{name}'");
            end = entry.Offset + entry.Length;
        }
        if (end != fileLength) throw Wrong(file, $"{fileLength - end} bytes after the last tensor belong to none");
    }

    public static InvalidInputException Wrong(string file, string what) => new($"{Path.GetFileName(file)} is refused: {what}.", Path.GetFileName(file));
}
