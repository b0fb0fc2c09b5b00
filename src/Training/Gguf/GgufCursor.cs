using System.Buffers.Binary;
using System.Text;

namespace Gradus.Training.Gguf;

/// <summary>
/// Reads a GGUF header from front to end. Nothing it is told is believed: every length is held against what is left of the file before it is used, and
/// nothing is allocated by a count.
/// </summary>
/// <param name="header">The file's first bytes, at most <see cref="LargestHeader"/>.</param>
internal ref struct GgufCursor(ReadOnlySpan<byte> header, long fileLength, string file)
{
    /// <summary>Metadata and tensor list together; the largest published ones have some 20 MB.</summary>
    public const int LargestHeader = 64 << 20;

    /// <summary>Bytes of one text: a chat template has some 20 thousand.</summary>
    public const int LongestText = 4 << 20;

    private static readonly UTF8Encoding utf8 = new(false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> header = header;

    public int Position { get; private set; }

    public ReadOnlySpan<byte> Take(long count, string what)
    {
        if (count > header.Length - Position)
        {
            throw header.Length < fileLength
                ? GgufHeader.Wrong(file, $"its header does not end within {LargestHeader} bytes ({what} reaches beyond)")
                : GgufHeader.Wrong(file, $"{what} reaches beyond its end ({fileLength} bytes): the file is cut short or its header lies");
        }
        var taken = header.Slice(Position, (int)count);
        Position += (int)count;
        return taken;
    }

    public uint UInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what));

    public ulong UInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    /// <summary>A count or size of at most <paramref name="most"/>.</summary>
    public long Count(ulong most, string what)
    {
        var count = UInt64(what);
        return count <= most ? (long)count : throw GgufHeader.Wrong(file, $"{what} is {count}; at most {most} are allowed");
    }

    /// <summary>The bytes of a text: eight bytes of length, then UTF-8 without an end mark.</summary>
    public ReadOnlySpan<byte> TextBytes(int most, string what) => Take(Count((ulong)most, $"the length of {what}"), what);

    public string Text(int most, string what) => Decode(TextBytes(most, what), what, file);

    public static string Decode(ReadOnlySpan<byte> bytes, string what, string file)
    {
        try
        {
            return utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw GgufHeader.Wrong(file, $"{what} is not UTF-8");
        }
    }
}
