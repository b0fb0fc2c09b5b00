namespace Gradus.Training.Gguf;

/// <summary>The types of metadata, by the format's own numbers.</summary>
internal enum GgufValueType : uint
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    Text = 8,
    List = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>Where one value of the metadata lies in the file; it is read when asked for.</summary>
/// <param name="Type">Of the value, or of a list's items.</param>
/// <param name="Offset">First byte of the value (of a text: its length), or of a list's first item.</param>
/// <param name="Count">Items of a list; -1 for a single value.</param>
internal sealed record GgufValue(GgufValueType Type, int Offset, int Length, long Count)
{
    public bool IsList => Count >= 0;

    /// <summary>Bytes of one value; 0 for a text, whose length stands before it.</summary>
    public static int Width(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 => 8,
        _ => 0,
    };
}
