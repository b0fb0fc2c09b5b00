namespace Gradus.Training.Text;

/// <summary>Pieces of a text on their way through the pre-tokenizers: one growing run of characters and where each piece ends in it.</summary>
internal sealed class PieceList
{
    private char[] characters = new char[256];
    private int[] ends = new int[64];
    private int length;

    public int Count { get; private set; }

    public ReadOnlySpan<char> this[int index]
    {
        get
        {
            var start = index == 0 ? 0 : ends[index - 1];
            return characters.AsSpan(start, ends[index] - start);
        }
    }

    public void Clear() => (Count, length) = (0, 0);

    /// <summary>Adds a whole piece; an empty one is left out, as it stands for nothing.</summary>
    public void Add(ReadOnlySpan<char> piece)
    {
        if (piece.IsEmpty) return;
        piece.CopyTo(Reserve(piece.Length));
        Close();
    }

    /// <summary>Room for so many more characters of the piece being built; <see cref="Close"/> ends it.</summary>
    public Span<char> Reserve(int count)
    {
        if (length + count > characters.Length) Array.Resize(ref characters, Math.Max(length + count, characters.Length * 2));
        var room = characters.AsSpan(length, count);
        length += count;
        return room;
    }

    public void Close()
    {
        if (Count == ends.Length) Array.Resize(ref ends, Count * 2);
        ends[Count++] = length;
    }
}
