using System.Text.Json;
using Gradus.Training.Text.PreTokenizers;

namespace Gradus.Training.Text.Models;

/// <summary>The last step: turns one piece into ids.</summary>
internal interface ITokenModel : IPieceStep
{
    /// <summary>Token to id.</summary>
    IReadOnlyDictionary<string, int> Vocabulary { get; }
}

internal static class TokenModel
{
    /// <param name="bytes">Pieces come as they are, to be written in the alphabet of bytes, where the model can.</param>
    public static ITokenModel Read(JsonElement part, bool bytes)
    {
        // Files older than the field 'type' of BPE have merges.
        var type = TokenizerJson.Has(part, "merges", out _) && !TokenizerJson.Has(part, "type", out _) ? "BPE" : TokenizerJson.TypeOf(part, "model");
        return type switch
        {
            "BPE" => BpeModel.Read(part, bytes),
            "Unigram" => UnigramModel.Read(part),
            "WordLevel" => WordLevelModel.Read(part),
            var other => throw TokenizerJson.Unsupported("model", other, "BPE, Unigram, WordLevel"),
        };
    }
}
