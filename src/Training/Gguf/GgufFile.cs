using System.IO.MemoryMappedFiles;

namespace Gradus.Training.Gguf;

/// <summary>
/// A GGUF file, mapped into memory: only what is read costs memory. It knows the format and no model: names, shapes and metadata are given as they stand
/// in the file, but shapes outermost first. Any number of threads may read.
/// </summary>
public sealed unsafe class GgufFile : IDisposable
{
    private readonly MemoryMappedFile map;
    private readonly MemoryMappedViewAccessor view;
    private readonly Dictionary<string, GgufTensor> tensors = [];
    private byte* start;

    private GgufFile(string path)
    {
        Path = path;
        Length = new FileInfo(path).Length;
        map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        view = map.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
        byte* pointer = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        start = pointer;
        try
        {
            var header = GgufHeader.Parse(new ReadOnlySpan<byte>(start, (int)Math.Min(Length, GgufCursor.LargestHeader)), Length, path);
            Version = header.Version;
            tensors = header.Tensors;
            Metadata = new GgufMetadata(this, header.Values);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Path { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>2 or 3.</summary>
    public int Version { get; }

    public GgufMetadata Metadata { get; } = null!;

    /// <summary>All tensors by name.</summary>
    public IReadOnlyDictionary<string, GgufTensor> Tensors => tensors;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="InvalidInputException">It is missing, cut short, of another version or byte order, or its header lies; the message says how.</exception>
    public static GgufFile Open(string path)
    {
        if (!File.Exists(path)) throw new InvalidInputException($"There is no {System.IO.Path.GetFileName(path)} in {System.IO.Path.GetDirectoryName(path)}.", System.IO.Path.GetFileName(path), "missing");
        if (new FileInfo(path).Length < 24) throw GgufHeader.Wrong(path, $"it has {new FileInfo(path).Length} bytes, too few for a header");
        return new GgufFile(path);
    }

    /// <summary>The numbers of some rows as fp32, whatever their type.</summary>
    /// <param name="destination">Whole rows.</param>
    public void Read(GgufTensor tensor, long firstRow, Span<float> destination) =>
        Dequantizer.ToSingle(tensor.Type, Rows(tensor, firstRow, destination.Length / tensor.RowLength), destination);

    /// <summary>The bytes of some rows as they stand in the file, at most 2 GiB.</summary>
    public ReadOnlySpan<byte> Rows(GgufTensor tensor, long firstRow, long rows)
    {
        ObjectDisposedException.ThrowIf(start == null, this);
        var width = tensor.Length / tensor.Rows;
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstRow + rows, tensor.Rows);
        return new ReadOnlySpan<byte>(start + tensor.Offset + (firstRow * width), checked((int)(rows * width)));
    }

    internal ReadOnlySpan<byte> HeaderBytes(int offset, int length)
    {
        ObjectDisposedException.ThrowIf(start == null, this);
        return new ReadOnlySpan<byte>(start + offset, length);
    }

    public void Dispose()
    {
        if (start != null) view.SafeMemoryMappedViewHandle.ReleasePointer();
        start = null;
        view.Dispose();
        map.Dispose();
    }
}
