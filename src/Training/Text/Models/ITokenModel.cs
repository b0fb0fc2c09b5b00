using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>Turns one piece into token ids.</summary>
internal interface ITokenModel
{
    /// <summary>Token to id.</summary>
    IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Adds the ids of one piece, which is not empty. Called from several threads at once.</summary>
    void Encode(ReadOnlySpan<char> piece, List<int> ids);
}

internal static class TokenModel
{
    public static ITokenModel Read(JsonElement part)
    {
        // Files older than the field 'type' of BPE have merges.
        var type = part.ValueKind == JsonValueKind.Object && !part.TryGetProperty("type", out _) && part.TryGetProperty("merges", out _) ? "BPE" : TokenizerJson.TypeOf(part, "model");
        return type switch
        {
            "BPE" => BpeModel.Read(part),
            "WordLevel" => WordLevelModel.Read(part),
            var other => throw TokenizerJson.Unsupported("model", other, "BPE, WordLevel"),
        };
    }
}
