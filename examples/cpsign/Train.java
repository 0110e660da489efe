import com.arosbio.chem.io.in.ChemFileParserUtils;
import com.arosbio.cheminf.ChemCPClassifier;
import com.arosbio.cheminf.data.ChemDataset;
import com.arosbio.cheminf.descriptors.SignaturesDescriptor;
import com.arosbio.cheminf.io.ModelSerializer;
import com.arosbio.commons.GlobalConfig;
import com.arosbio.data.NamedLabels;
import com.arosbio.ml.algorithms.svm.LinearSVC;
import com.arosbio.ml.cp.acp.ACPClassifier;
import com.arosbio.ml.cp.icp.ICPClassifier;
import com.arosbio.ml.cp.nonconf.classification.NegativeDistanceToHyperplaneNCM;
import com.arosbio.ml.io.ModelInfo;
import com.arosbio.ml.sampling.FoldedSampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.openscience.cdk.exception.CDKException;
import org.openscience.cdk.interfaces.IAtomContainer;

/**
 * Trains one split of an aggregated conformal classifier, and predicts the test rows with it.
 *
 * <p>The calibration set of split i of n is the i-th fold of the training rows; all splits read the same rows with
 * the same seed, so that CPSign makes the same folds and descriptors in each of them.
 */
final class Train {
    private static final NamedLabels LABELS = new NamedLabels("inactive", "active");
    private static final int TRAIN = 0;
    private static final int TEST = 1;

    private Train() {}

    /**
     * Reads a split, writes model.jar and predictions.csv.
     *
     * @param arguments the folder with the split's file, which has a line "split, splits, seed", then lines
     *     "train|test, SMILES, 0|1", with tabs between them; and the folder for results
     */
    public static void main(String[] arguments) throws Exception {
        List<String> lines = Files.readAllLines(onlyFile(Path.of(arguments[0])));
        Path outputs = Path.of(arguments[1]);
        String[] head = lines.get(0).split("\t");
        int split = Integer.parseInt(head[0]);
        int splits = Integer.parseInt(head[1]);
        GlobalConfig.getInstance().setRNGSeed(Long.parseLong(head[2]));

        ChemDataset dataset = new ChemDataset(new SignaturesDescriptor(1, 3));
        dataset.initializeDescriptors();
        dataset.setTextualLabels(LABELS);
        List<Row> test = new ArrayList<>();
        int[] read = new int[2];
        int unreadable = 0;
        int small = 0;
        for (String line : lines.subList(1, lines.size())) {
            String[] cells = line.split("\t");
            int part = cells[0].equals("train") ? TRAIN : TEST;
            read[part]++;
            IAtomContainer molecule;
            try {
                molecule = ChemFileParserUtils.parseSMILES(cells[1]);
            } catch (CDKException error) {
                unreadable++;
                System.out.println("unreadable SMILES: " + cells[1]);
                continue;
            }
            if (heavyAtoms(molecule) < 5) { // CPSign would leave it out silently
                small++;
                continue;
            }
            int label = Integer.parseInt(cells[2]);
            if (part == TRAIN) {
                dataset.add(molecule, label);
            } else {
                test.add(new Row(molecule, label));
            }
        }
        System.out.printf(
                "split %d of %d: %d rows read, %d rows kept (%d to train, %d to test): left out %d with unreadable"
                        + " SMILES, %d with less than five heavy atoms%n",
                split, splits, read[TRAIN] + read[TEST], dataset.getNumRecords() + test.size(),
                dataset.getNumRecords(), test.size(), unreadable, small);

        ACPClassifier predictor = new ACPClassifier(
                new NegativeDistanceToHyperplaneNCM(new LinearSVC()), new FoldedSampling(splits));
        ChemCPClassifier model = new ChemCPClassifier(predictor);
        model.setDataset(dataset);
        model.withModelInfo(new ModelInfo("activity"));
        predictor.train(dataset, split - 1);
        ModelSerializer.saveModel(model, outputs.resolve("model.jar").toFile(), null);
        Files.writeString(outputs.resolve("predictions.csv"), predictions(predictor.getPredictors().get(split - 1), dataset, test));
    }

    private static Path onlyFile(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.findFirst().orElseThrow();
        }
    }

    private record Row(IAtomContainer molecule, int label) {}

    private static long heavyAtoms(IAtomContainer molecule) {
        int heavy = 0;
        for (var atom : molecule.atoms()) {
            heavy += atom.getAtomicNumber() > 1 ? 1 : 0;
        }
        return heavy;
    }

    private static String predictions(ICPClassifier predictor, ChemDataset dataset, List<Row> rows)
            throws Exception {
        StringBuilder text = new StringBuilder("row,label,inactive,active\n");
        for (int number = 0; number < rows.size(); number++) {
            Row row = rows.get(number);
            Map<Integer, Double> pValues = predictor.predict(dataset.convertToFeatureVector(row.molecule()));
            text.append(String.format(Locale.ROOT, "%d,%s,%.6f,%.6f%n", number, LABELS.getLabel(row.label()),
                    pValues.get(LABELS.getValue("inactive")), pValues.get(LABELS.getValue("active"))));
        }
        return text.toString();
    }
}
