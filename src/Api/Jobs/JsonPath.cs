using System.Text.Json.Nodes;

namespace Gradus.Api.Jobs;

/// <summary>Paths as error messages have them: <c>sets[0].dataset</c>.</summary>
internal static class JsonPath
{
    /// <summary>Replaces what stands at a path that exists.</summary>
    public static void Set(JsonNode root, string path, string value)
    {
        var places = path.Replace("[", ".[", StringComparison.Ordinal).Split('.', StringSplitOptions.RemoveEmptyEntries);
        var node = root;
        foreach (var place in places[..^1]) node = place[0] == '[' ? node[int.Parse(place[1..^1])]! : node[place]!;
        if (places[^1] is ['[', .. var index, ']']) node[int.Parse(index)] = value;
        else node[places[^1]] = value;
    }
}
