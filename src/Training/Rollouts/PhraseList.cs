using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>Texts to look for in completions, under one name.</summary>
public sealed record PhraseList(string Name, IReadOnlyList<string> Texts)
{
    /// <summary>Whether one of the texts stands in it.</summary>
    public bool In(string completion) => Texts.Any(text => completion.Contains(text, StringComparison.Ordinal));

    internal static IReadOnlyList<PhraseList> Read(OptionReader reader)
    {
        if (reader.Element("phrases") is not { } element) return [];
        var inner = reader.Inside(element, reader.At("phrases"));
        List<PhraseList> lists = [];
        foreach (var field in element.EnumerateObject())
        {
            var texts = inner.Items(field.Name, 64);
            if (texts.Count == 0 || texts.Any(t => t.Value.ValueKind != JsonValueKind.String || t.Value.GetString()!.Length is 0 or > 200))
                throw OptionReader.Invalid(inner.At(field.Name), $"'{inner.At(field.Name)}' must be a list of 1 to 64 strings of 1 to 200 characters.");
            lists.Add(new(field.Name, [.. texts.Select(t => t.Value.GetString()!)]));
        }
        return lists.Count <= 16 ? lists : throw OptionReader.Invalid(inner.Path, $"'{inner.Path}' has {lists.Count} names; at most 16 are allowed.", "out_of_range");
    }
}
