using System.Text.Json;

namespace Gradus.Training.Text.Models;

/// <summary>A piece is a token or unknown.</summary>
internal sealed class WordLevelModel : ITokenModel
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly int unknown;

    private WordLevelModel(Dictionary<string, int> vocabulary, string unknownToken)
    {
        if (!vocabulary.TryGetValue(unknownToken, out unknown))
            throw new InvalidInputException($"tokenizer.json: the unknown token '{unknownToken}' of the model WordLevel is not in its vocabulary.", "model.unk_token");
        Vocabulary = vocabulary;
        lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public IReadOnlyDictionary<string, int> Vocabulary { get; }

    public static WordLevelModel Read(JsonElement part) => new(TokenizerJson.Vocabulary(part), TokenizerJson.Text(part, "unk_token") ?? "<unk>");

    public void Take(ReadOnlySpan<char> piece, bool first, List<int> ids) => ids.Add(lookup.TryGetValue(piece, out var id) ? id : unknown);
}
