using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Stages;

namespace Gradus.Training.Recipes;

/// <summary>One stage of a recipe.</summary>
/// <param name="Name">Its name in the recipe, by which later stages refer to it.</param>
/// <param name="Stage">Which stage it is: pretrain, sft, ...</param>
/// <param name="Json">The options as a job takes them: as they stand in the recipe, with the evaluation sets added to <c>held_out</c>.</param>
/// <param name="Sources">Where each option's value comes from, by the option's name.</param>
public sealed record RecipeStage(string Name, string Stage, StageOptions Options, JsonElement Json, IReadOnlyDictionary<string, string> Sources)
{
    internal string Path { get; init; } = "";

    internal static RecipeStage Parse(JsonElement json, string path)
    {
        var reader = new OptionReader(json, path);
        var name = Recipe.NameIn(reader, "name");
        var stage = reader.Text("stage", null, 64);
        var options = reader.Element("options") ?? JsonSerializer.SerializeToElement(new JsonObject());
        Dictionary<string, string> sources = [];
        if (reader.Element("sources") is { } given)
        {
            var inner = reader.Inside(given, reader.At("sources"));
            foreach (var field in given.EnumerateObject()) sources[field.Name] = inner.Text(field.Name, null, 1000);
        }
        reader.RefuseUnknown();
        return new(name, stage, StageOptions.Parse(stage, options, reader.At("options")), options, sources) { Path = reader.At("options") };
    }

    internal RecipeStage WithHeldOut(IReadOnlyList<StageReference> sets)
    {
        if (sets.Count == 0) return this;
        var options = JsonSerializer.SerializeToNode(Json)!.AsObject();
        if (options["held_out"] is not JsonArray list) options["held_out"] = list = [];
        var standing = list.Select(n => n!.ToJsonString()).ToHashSet();
        foreach (var set in sets)
        {
            JsonNode entry = set.Id is { } id ? JsonValue.Create(id)! : new JsonObject { ["from"] = set.From };
            if (standing.Add(entry.ToJsonString())) list.Add(entry);
        }
        var json = JsonSerializer.SerializeToElement(options);
        return this with { Json = json, Options = StageOptions.Parse(Stage, json, Path) };
    }
}
