using System.Buffers;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Writes a piece in the alphabet of bytes. Where a BPE model follows it does so itself (<see cref="Models.BpeModel"/>), for new pieces alone.</summary>
internal sealed class ByteLevelPreTokenizer(IPieceStep next) : IPieceStep
{
    /// <summary>GPT-2's pattern, which ByteLevel cuts by unless it is told not to.</summary>
    public const string Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids)
    {
        var letters = ArrayPool<char>.Shared.Rent(checked(piece.Length * 3));
        next.Take(letters.AsSpan(0, ByteAlphabet.Write(piece, letters)), first, ids);
        ArrayPool<char>.Shared.Return(letters);
    }
}

/// <summary>Gives a piece that does not begin with a space one.</summary>
internal sealed class PrefixSpacePreTokenizer(IPieceStep next) : IPieceStep
{
    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids) => next.Take(piece[0] == ' ' ? piece : string.Concat(" ", piece), first, ids);
}
