using System.Text.Json;
using Gradus.Training.Text.PreTokenizers;

namespace Gradus.Training.Tests.Text;

/// <summary>What a pre-tokenizer makes of a text, before it is written in the alphabet of bytes.</summary>
internal sealed class PreTokenizerPieces : IPieceStep
{
    private readonly List<string> pieces = [];

    public static IReadOnlyList<string> Of(string preTokenizer, string text)
    {
        using var file = JsonDocument.Parse($$"""{"pre_tokenizer":{{preTokenizer}}}""");
        var result = new PreTokenizerPieces();
        PreTokenizer.Read(file.RootElement).Before(result, modelWritesBytes: true).Take(text, true, []);
        return result.pieces;
    }

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids) => pieces.Add(piece.ToString());
}
