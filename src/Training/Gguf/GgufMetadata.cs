using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Gradus.Training.Gguf;

/// <summary>The metadata of a GGUF file, read from the mapped file when asked for. A value of another kind than the one asked for is refused by its key.</summary>
public sealed class GgufMetadata
{
    private readonly GgufFile file;
    private readonly Dictionary<string, GgufValue> values;

    internal GgufMetadata(GgufFile file, Dictionary<string, GgufValue> values) => (this.file, this.values) = (file, values);

    public IEnumerable<string> Keys => values.Keys;

    public bool Contains(string key) => values.ContainsKey(key);

    /// <summary>A text; null where it is absent.</summary>
    public string? Text(string key)
    {
        if (Single(key, "a text") is not { } value) return null;
        if (value.Type != GgufValueType.Text) throw Unlike(key, "a text", value);
        return GgufCursor.Decode(Bytes(value)[8..], $"metadata '{key}'", file.Path);
    }

    /// <summary>A whole number of any width from <paramref name="low"/> to <paramref name="high"/>; null where it is absent.</summary>
    public long? Integer(string key, long low = 0, long high = uint.MaxValue)
    {
        if (Single(key, "a whole number") is not { } value) return null;
        var number = Whole(Bytes(value), value.Type) ?? throw Unlike(key, "a whole number", value);
        return number >= low && number <= high ? (long)number : throw GgufHeader.Wrong(file.Path, $"metadata '{key}' must be from {low} to {high}, not {number}");
    }

    /// <summary>A number; an fp32 value becomes the double of its shortest decimal form (1e-5 stays 1e-5). Null where it is absent.</summary>
    public double? Number(string key)
    {
        if (Single(key, "a number") is not { } value) return null;
        double number = value.Type switch
        {
            GgufValueType.Float32 => Shortest(BinaryPrimitives.ReadSingleLittleEndian(Bytes(value))),
            GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(value)),
            _ => (double)(Whole(Bytes(value), value.Type) ?? throw Unlike(key, "a number", value)),
        };
        return double.IsFinite(number) ? number : throw GgufHeader.Wrong(file.Path, $"metadata '{key}' must be a finite number, not {number}");
    }

    /// <summary>True or false; null where it is absent.</summary>
    public bool? Flag(string key)
    {
        if (Single(key, "true or false") is not { } value) return null;
        return value.Type == GgufValueType.Bool ? Bytes(value)[0] == 1 : throw Unlike(key, "true or false", value);
    }

    /// <summary>A list of texts; null where it is absent.</summary>
    public string[]? Texts(string key)
    {
        if (List(key, "a list of texts", GgufValueType.Text) is not { } value) return null;
        var texts = new string[value.Count];
        var rest = Bytes(value);
        for (var i = 0; i < texts.Length; i++)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(rest);
            texts[i] = GgufCursor.Decode(rest.Slice(8, length), $"item {i} of metadata '{key}'", file.Path);
            rest = rest[(8 + length)..];
        }
        return texts;
    }

    /// <summary>A list of fp32 numbers; null where it is absent.</summary>
    public float[]? Singles(string key) => List(key, "a list of fp32 numbers", GgufValueType.Float32) is { } value ? MemoryMarshal.Cast<byte, float>(Bytes(value)).ToArray() : null;

    /// <summary>A list of 32-bit whole numbers; null where it is absent.</summary>
    public int[]? Integers(string key) =>
        List(key, "a list of 32-bit whole numbers", GgufValueType.Int32, GgufValueType.UInt32) is { } value ? MemoryMarshal.Cast<byte, int>(Bytes(value)).ToArray() : null;

    /// <summary>What is refused when a value must be there.</summary>
    public InvalidInputException Missing(string key) => new($"{Path.GetFileName(file.Path)} is refused: it has no metadata '{key}'.", key, "missing");

    internal static double Shortest(float number) => double.Parse(number.ToString("R", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture);

    private static BigInteger? Whole(ReadOnlySpan<byte> bytes, GgufValueType type) => type switch
    {
        GgufValueType.UInt8 => bytes[0],
        GgufValueType.Int8 => (sbyte)bytes[0],
        GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(bytes),
        GgufValueType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        GgufValueType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
        GgufValueType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        GgufValueType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        _ => null,
    };

    private GgufValue? Single(string key, string wanted) => !values.TryGetValue(key, out var value) ? null : value.IsList ? throw Unlike(key, wanted, value) : value;

    private GgufValue? List(string key, string wanted, params ReadOnlySpan<GgufValueType> types) =>
        !values.TryGetValue(key, out var value) ? null : value.IsList && types.Contains(value.Type) ? value : throw Unlike(key, wanted, value);

    private InvalidInputException Unlike(string key, string wanted, GgufValue value) =>
        GgufHeader.Wrong(file.Path, $"metadata '{key}' must be {wanted}, not {(value.IsList ? $"a list of {value.Count} {value.Type}" : value.Type)}");

    private ReadOnlySpan<byte> Bytes(GgufValue value) => file.HeaderBytes(value.Offset, value.Length);
}
