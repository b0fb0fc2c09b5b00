using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>
/// model.safetensors.index.json: which tensor is in which shard. Read token by token, for it has a line for each tensor (91,991 in DeepSeek-V3) and may be anybody's.
/// </summary>
internal static class SafetensorsIndex
{
    public const string Name = "model.safetensors.index.json";

    private const long LargestFile = 32L << 20;

    /// <summary>File names, beside the index, by tensor.</summary>
    /// <exception cref="InvalidInputException">The file is missing or damaged, or names files that are not beside it.</exception>
    public static Dictionary<string, string> Read(string folder)
    {
        var json = ModelFile.Read(Path.Combine(folder, Name), LargestFile);
        Dictionary<string, string>? map = null;
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 16 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw Wrong("is not a JSON object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var field = reader.ValueTextEquals("weight_map");
                reader.Read();
                if (!field) reader.Skip();
                else if (map is not null) throw Wrong("has two weight_maps");
                else map = Map(ref reader);
            }

            while (reader.Read())
            {
            }
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException)
        {
            throw Wrong($"is not JSON: {problem.Message}");
        }

        return map ?? throw new InvalidInputException($"{Name} has no weight_map.", Name, "missing");
    }

    private static Dictionary<string, string> Map(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new InvalidInputException($"{Name} has no weight_map that is an object.", Name, "missing");
        var (map, files) = (new Dictionary<string, string>(), new Dictionary<string, string>());
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var tensor = Text(ref reader);
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw Wrong($"names no file for tensor '{tensor}'");
            var file = Text(ref reader);
            // A shard is a neighbour: an index that points elsewhere on the disk is not followed.
            if (file is "" or "." or ".." || file.Contains('\0', StringComparison.Ordinal) || file != Path.GetFileName(file)) throw Wrong($"names '{file}', which is not a file beside it");
            if (!files.TryGetValue(file, out var shared)) files.Add(file, shared = file);
            if (!map.TryAdd(tensor, shared)) throw Wrong($"names tensor '{tensor}' twice");
            if (map.Count > SafetensorsHeader.MostTensors) throw Wrong($"names more than {SafetensorsHeader.MostTensors} tensors");
        }

        return map;
    }

    private static string Text(ref Utf8JsonReader reader) => reader.ValueSpan.Length <= SafetensorsHeader.LongestName
        ? reader.GetString()!
        : throw Wrong($"holds a name of {reader.ValueSpan.Length} bytes; at most {SafetensorsHeader.LongestName} are allowed");

    private static InvalidInputException Wrong(string what) => new($"{Name} {what}.", Name);
}
