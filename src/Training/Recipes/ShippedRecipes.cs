using System.Text.Json;

namespace Gradus.Training.Recipes;

/// <summary>The recipes of the folder recipes/, which the build puts into the assembly.</summary>
public static class ShippedRecipes
{
    /// <summary>Their names with the JSON as it stands in the file, in the order of the names.</summary>
    public static IReadOnlyDictionary<string, JsonElement> All { get; } = Read();

    private static SortedDictionary<string, JsonElement> Read()
    {
        SortedDictionary<string, JsonElement> recipes = new(StringComparer.Ordinal);
        var assembly = typeof(ShippedRecipes).Assembly;
        foreach (var resource in assembly.GetManifestResourceNames().Where(n => n.StartsWith("recipes/", StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(resource)!;
            using var document = JsonDocument.Parse(stream);
            recipes[Path.GetFileNameWithoutExtension(resource["recipes/".Length..])] = document.RootElement.Clone();
        }
        return recipes;
    }
}
