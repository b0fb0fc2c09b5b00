namespace Gradus.Training.Text.Models;

/// <summary>
/// Pieces met before, with their ids. Its size is fixed: a piece has two places, and a new one drives out the older of the two. No locks: a place holds a
/// whole entry or none.
/// </summary>
internal sealed class PieceCache
{
    /// <summary>Together some 20 MB at the very most. Language has few words longer than this.</summary>
    private const int Places = 1 << 16, LongestPiece = 48, MostIds = 48;

    private readonly Entry?[] entries = new Entry?[Places];

    /// <summary>Adds the ids of a piece that is remembered.</summary>
    /// <param name="place">Where to keep it otherwise.</param>
    public bool TryAdd(ReadOnlySpan<char> piece, List<int> ids, out int place)
    {
        place = -1;
        if (piece.Length > LongestPiece) return false;
        place = string.GetHashCode(piece) & (Places - 1);
        var entry = entries[place];
        if (entry is null || !piece.SequenceEqual(entry.Piece))
        {
            entry = entries[place ^ 1];
            if (entry is null || !piece.SequenceEqual(entry.Piece)) return false;
        }

        if (entry.Ids.Length == 1) ids.Add(entry.Ids[0]);
        else ids.AddRange(entry.Ids.AsSpan());
        return true;
    }

    public void Keep(ReadOnlySpan<char> piece, ReadOnlySpan<int> ids, int place)
    {
        if (place < 0 || ids.Length > MostIds) return;
        entries[place ^ 1] = entries[place];
        entries[place] = new Entry(piece.ToString(), ids.ToArray());
    }

    private sealed record Entry(string Piece, int[] Ids);
}
